import { homedir } from "node:os";
import { resolve } from "node:path";
import type { Env } from "../environment.ts";
import { LlmctlError } from "../errors.ts";

/**
 * The home folder of the caller. A user without HOME and without a passwd entry, as in containers, uses `LLMCTL_HOME`.
 * @throws LlmctlError `no-home` when none of the three is known.
 */
export function findHome(env: Env): string {
  const home = env["HOME"] || readPasswdHome() || env["LLMCTL_HOME"];
  if (home) return resolve(home);
  throw new LlmctlError(
    "no-home",
    "this user has no home folder: HOME is not set, and the passwd file has no entry for it",
    {
      exit: "config",
      at: `uid ${process.getuid?.() ?? "unknown"}`,
      fix: "set HOME, or set LLMCTL_HOME to a folder for all files of llmctl",
    },
  );
}

function readPasswdHome(): string | undefined {
  try {
    return homedir();
  } catch {
    return undefined; // no entry for this user
  }
}
