import { readdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { findTool } from "../base/files/find-tool.ts";
import { systemErrorCode } from "../base/errors.ts";
import { unitFolder } from "../base/files/paths.ts";
import { readBounded } from "../base/files/read-bounded.ts";
import { expectProfileName, profileNamePattern } from "../base/text/profile-name.ts";
import { readCommand, readEnvironment, systemHome, unitName, type UnitScope } from "./unit.ts";

/** Path of a profile's unit, which need not exist. @throws LlmctlError `bad-name` */
export function unitPath(scope: UnitScope, name: string): string {
  expectProfileName(name);
  const config = process.env["XDG_CONFIG_HOME"] || join(process.env["HOME"] ?? "", ".config");
  return join(scope === "system" ? unitFolder : join(config, "systemd/user"), unitName(name));
}

/** A unit has some kilobytes. A larger file, or another kind of file, is not ours and counts as empty. */
const mostBytes = 1 << 20;

/** The text of a unit; undefined when there is none. @throws the system's error. */
export async function readUnit(path: string): Promise<string | undefined> {
  try {
    return (await readBounded(path, mostBytes)) ?? "";
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT" || systemErrorCode(error) === "ENOTDIR") return undefined;
    throw error;
  }
}

/** A unit that runs or that systemd is about to start. */
export interface LiveUnit {
  readonly unit: string;
  readonly scope: UnitScope;
  /** Such as `activating (auto-restart)`. */
  readonly state: string;
  /** Pid of its main process; 0 while it has none. */
  readonly mainPid: number;
}

/**
 * Finds the unit that keeps a profile of this LLMCTL_HOME running.
 * @returns undefined when there is none, it is inactive, or systemd cannot be asked.
 */
export async function findLiveUnit(name: string): Promise<LiveUnit | undefined> {
  for (const scope of ["user", "system"] as const) {
    const text = await readUnit(unitPath(scope, name));
    if (text === undefined || !isOurs(text, scope) || findTool("systemctl") === undefined) continue;
    const unit = unitName(name);
    // Loaded only when there is a unit, to keep the usual `down` fast.
    const { systemctl } = await import("./systemctl.ts");
    const { stdout } = await systemctl(scope, ["show", "--property=ActiveState,SubState,InvocationID,MainPID", unit], {
      check: false,
    });
    const of = (key: string) => new RegExp(`^${key}=(.*)$`, "m").exec(stdout)?.[1] ?? "";
    // Inside the unit itself, such as in an ExecStop= line, waiting for its end would be a deadlock.
    if (of("InvocationID") !== "" && of("InvocationID") === process.env["INVOCATION_ID"]) continue;
    const active = of("ActiveState");
    if (active === "" || active === "inactive" || active === "failed") continue;
    return { unit, scope, state: `${active} (${of("SubState")})`, mainPid: Number(of("MainPID")) };
  }
  return undefined;
}

/**
 * Whether a unit belongs to this LLMCTL_HOME: other homes may have units of the same name. All system units share one
 * home, and root may stop them.
 */
function isOurs(text: string, scope: UnitScope): boolean {
  const home = process.env["LLMCTL_HOME"];
  const own = home === undefined || home === "" ? undefined : resolve(home);
  if (scope === "system") return own === systemHome || process.getuid?.() === 0;
  return readEnvironment(text)["LLMCTL_HOME"] === own && readCommand(text).includes("up");
}

/** Stops a unit and waits for its end. @throws LlmctlError `systemctl-failed` */
export async function stopUnit({ unit, scope }: LiveUnit): Promise<void> {
  await (await import("./systemctl.ts")).systemctl(scope, ["stop", unit]);
}

/** Names of the profiles that have a unit in this scope. */
export async function listUnits(scope: UnitScope): Promise<string[]> {
  try {
    const files = await readdir(dirname(unitPath(scope, "any")));
    return files
      .flatMap((file) => /^llmctl-(.+)\.service$/.exec(file)?.[1] ?? [])
      .filter((name) => profileNamePattern.test(name));
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT" || systemErrorCode(error) === "ENOTDIR") return [];
    throw error;
  }
}
