import { execa } from "execa";
import { LlmctlError } from "../base/errors.ts";
import { systemHome, systemUser } from "./unit.ts";

/**
 * Creates the user of system services if it is missing, without a password or a shell. Safe to repeat.
 * @throws LlmctlError `no-user`
 */
export async function ensureSystemUser(): Promise<void> {
  const line = `u ${systemUser} - "llmctl services" ${systemHome}`;
  const { failed, stderr, message } = await execa("systemd-sysusers", ["--inline", line], {
    reject: false,
    stdin: "ignore",
  });
  if (!failed) return;
  throw new LlmctlError("no-user", `cannot create the user "${systemUser}": ${stderr.trim() || message}`, {
    exit: "unavailable",
    fix: `useradd --system --home-dir ${systemHome} --shell /usr/sbin/nologin ${systemUser}`,
  });
}
