import { execa } from "execa";
import { findTool } from "../base/files/find-tool.ts";
import { LlmctlError } from "../base/errors.ts";
import { unitName, type UnitScope } from "./unit.ts";

/**
 * Runs `systemctl` for the system's or the user's manager.
 * @returns its output, and its exit code, which may be other than 0 if `check` is false.
 * @throws LlmctlError `tool-missing`, `systemctl-failed` with systemctl's message.
 */
export async function systemctl(
  scope: UnitScope,
  args: readonly string[],
  { check = true } = {},
): Promise<{ stdout: string; exitCode: number }> {
  if (findTool("systemctl") === undefined) {
    throw new LlmctlError("tool-missing", 'the tool "systemctl" is not installed: this machine has no systemd', {
      exit: "missingFile",
      fix: { before: 'start it without a service ("up -d"), or see', run: ["export", "--help"] },
    });
  }
  const words = [...(scope === "user" ? ["--user"] : []), ...args];
  const { stdout, stderr, exitCode, failed } = await execa("systemctl", words, { reject: false, stdin: "ignore" });
  if (failed && check) {
    throw new LlmctlError(
      "systemctl-failed",
      `systemctl ${words.join(" ")} failed: ${stderr.trim() || stdout.trim()}`,
      {
        exit: "unavailable",
        ...(scope === "user" ? { fix: "log in as that user directly, not by su or sudo, or use --system" } : {}),
      },
    );
  }
  return { stdout: stdout.trim(), exitCode: exitCode ?? 1 };
}

/** Reads properties of a profile's unit. @throws LlmctlError as {@link systemctl}. */
export async function showUnit(
  scope: UnitScope,
  name: string,
  properties: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const { stdout } = await systemctl(scope, ["show", `--property=${properties.join(",")}`, unitName(name)]);
  return new Map(
    stdout.split("\n").map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}
