import { execa } from "execa";
import { LlmctlError } from "../base/errors.ts";
import type { Profile } from "../profiles/schema.ts";
import { explainFailedRun } from "./binary-check.ts";
import { explainRefusal, type Refusal } from "./refusal.ts";
import type { Rendering } from "./render.ts";

interface DryRunOptions {
  /** The whole environment of the binary. */
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** What the arguments were made from, so that a refusal can name the key and its place. */
  readonly origin?: { readonly profile: Profile; readonly rendering: Rendering };
}

/**
 * Has the binary itself parse its command line: `--version` comes last, and its handler ends the program when every flag and value before
 * it was accepted (`common_params_parse` in llama.cpp). Opens no model; looks at devices; takes about 10 ms.
 * @throws LlmctlError `flag-refused` with llama.cpp's own message, or what `explainFailedRun` makes of a binary that cannot run.
 */
export async function dryRun(file: string, args: readonly string[], options: DryRunOptions): Promise<void> {
  const result = await execa(file, [...args, "--version"], {
    env: options.env,
    extendEnv: false,
    stdin: "ignore",
    timeout: options.timeoutMs,
    killSignal: "SIGKILL",
    maxBuffer: 1_000_000,
    reject: false,
  });
  if (!result.failed) return;
  const refusal = result.exitCode === 1 ? explainRefusal(result.stderr) : undefined;
  if (refusal === undefined) throw await explainFailedRun(file, "check its command line", options.env, result);
  throw refused(file, refusal, options.origin);
}

function refused(file: string, refusal: Refusal, origin: DryRunOptions["origin"]): LlmctlError {
  const flag = origin?.rendering.flags.find(({ args }) => refusal.flag !== undefined && args.includes(refusal.flag));
  const device = /invalid device: (\S+)/.exec(refusal.message)?.[1];
  return new LlmctlError(
    "flag-refused",
    `llama.cpp refuses ${flag === undefined ? "its command line" : `"${flag.key}"`}: ${refusal.message}`,
    {
      exit: device === undefined ? "config" : "unavailable",
      at: flag === undefined || origin === undefined ? file : origin.profile.at(...flag.path),
      fix:
        device === undefined
          ? (refusal.fix ?? "correct the value, or remove the key")
          : `run "${file} --list-devices" to see the devices of this machine`,
    },
  );
}
