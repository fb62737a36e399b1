import { stat } from "node:fs/promises";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { describeFix, type Fix } from "../../base/fix.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { Status } from "../../control/messages.ts";
import { eventLogPath, parseEventLine, toLine, type LoggedEvent } from "../../supervisor/log/event-log.ts";
import { findForeignOwner, hasForeignState } from "../../supervisor/state/foreign-folder.ts";
import { readState } from "../../supervisor/state/state-file.ts";
import { readCommand } from "../../services/unit.ts";
import { findLogEnd } from "../../supervisor/log/follow-log.ts";
import { readTail } from "../../supervisor/log/last-log-lines.ts";

/** What a unit names that is not there any more, and what to do about it, as rows of `systemd status`. */
export async function findGone(unit: string, name: string): Promise<string[]> {
  const [node = "", program = ""] = readCommand(unit);
  const profile = readCommand(unit).at(-1) ?? "";
  const anew = describeFix({ run: ["systemd", "install", name] });
  const rows: string[] = [];
  if (await isGone(node)) rows.push(`gone      the Node that it runs: ${node}`, `fix       ${anew}`);
  if (await isGone(program)) rows.push(`gone      the llmctl that it runs: ${program}`, `fix       ${anew}`);
  if (await isGone(profile))
    rows.push(
      `gone      its profile: ${profile}`,
      `fix       ${describeFix({ before: "put it back, install a unit for another file, or run", run: ["systemd", "uninstall", name] })}`,
    );
  return rows;
}

async function isGone(path: string): Promise<boolean> {
  if (!path.startsWith("/")) return false;
  try {
    await stat(path);
    return false;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    return code === "ENOENT" || code === "ENOTDIR";
  }
}

/** Enough for the last run of most supervisors. */
const lookBack = 200;

/** Why a service last failed. */
export interface UnitFailure {
  readonly message: string;
  readonly fix?: Fix | undefined;
}

/**
 * Why a service last failed, in the supervisor's own words; undefined while it runs and has never failed.
 * @param paths Those of the service.
 * @param unit Of systemd's properties `ActiveState`, `NRestarts`, `Result` and `ExecMainStatus`.
 */
export async function findLastFailure(
  paths: Paths,
  name: string,
  unit: ReadonlyMap<string, string>,
): Promise<UnitFailure | undefined> {
  const active = unit.get("ActiveState");
  const path = eventLogPath(paths.state, name);
  const events = await readEvents(paths.state, name);
  if ("unreadable" in events) return { message: `not known: ${events.unreadable}` };
  const last = events.findLast(({ state }) => state === "failed" || state === "stopped" || state === "ready");
  const hasRestarted = active === "active" && Number(unit.get("NRestarts")) > 0;
  const failed = hasRestarted ? events.findLast(({ state }) => state === "failed") : last;
  if (failed?.state === "failed") return toFailure(failed, await readFix(paths.state, name, failed));
  if (active !== "failed") return undefined;
  if (events.at(-1)?.state === "stopped")
    return { message: "none: it was stopped before it was ready, as somebody asked" };
  const message = `its supervisor ended without a word (${unit.get("Result")}, exit status ${unit.get("ExecMainStatus")})`;
  return { message, fix: `see what it printed: journalctl, and ${path}` };
}

/** Rows of `systemd status`. */
export function describeFailure(failure: UnitFailure | undefined): string[] {
  if (failure === undefined) return [];
  const { message, fix } = failure;
  return [`failure   ${message}`, ...(fix === undefined ? [] : [`fix       ${describeFix(fix)}`])];
}

function toFailure({ time, message, cause }: LoggedEvent, fix: Fix | undefined): UnitFailure {
  const what = fix === undefined ? message : message.replace(`; ${toLine(describeFix(fix))}`, "");
  return { message: `${what.replace(/^failed: /, "")}${cause === null ? "" : ` [${cause}]`}, ${time}`, fix };
}

/** The event log holds no fix; the state does, of the last failure only. */
async function readFix(stateDir: string, name: string, { message }: LoggedEvent): Promise<Fix | undefined> {
  const exit = (await readLastStatus(stateDir, name))?.lastExit;
  return exit == null || !message.includes(toLine(exit.message)) ? undefined : (exit.fix ?? undefined);
}

/** Root may ask for a service that another user runs. */
async function readLastStatus(stateDir: string, name: string): Promise<Status | undefined> {
  try {
    return (await readState(stateDir, name, findForeignOwner(stateDir)))?.status;
  } catch (error) {
    if (error instanceof LlmctlError) return undefined; // a file of a third user's: it tells nothing
    throw error;
  }
}

async function readEvents(
  stateDir: string,
  name: string,
): Promise<readonly LoggedEvent[] | { readonly unreadable: string }> {
  const path = eventLogPath(stateDir, name);
  try {
    const owner = findForeignOwner(stateDir);
    if (owner !== undefined && !hasForeignState(stateDir, name, owner)) return [];
    const end = await findLogEnd(path);
    if (end === undefined) return [];
    return (await readTail(path, lookBack, end.size)).flatMap((line) => parseEventLine(line) ?? []);
  } catch (error) {
    const code = error instanceof LlmctlError ? error.code : systemErrorCode(error);
    if (code === undefined) throw error;
    return { unreadable: `${path} cannot be read (${code})` };
  }
}
