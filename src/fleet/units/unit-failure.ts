import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { describeFix, type Fix } from "../../base/fix.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { Status } from "../../control/messages.ts";
import { eventLogPath, parseEventLine, toLine, type LoggedEvent } from "../../supervisor/log/event-log.ts";
import { findForeignOwner, hasForeignState } from "../../supervisor/state/state-folder-owner.ts";
import { readState } from "../../supervisor/state/state-file.ts";
import { findLogEnd } from "../../supervisor/log/follow-log.ts";
import { readTail } from "../../supervisor/log/last-log-lines.ts";

/** Events that are read from the end of the log: enough for the last run of most supervisors. */
const mostEvents = 200;

/** Why a service last failed. */
export interface UnitFailure {
  readonly message: string;
  readonly fix?: Fix | undefined;
}

/**
 * Why a service last failed, in the supervisor's own words.
 * @param paths The folders of the service.
 * @param unit systemd's properties `ActiveState`, `NRestarts`, `Result` and `ExecMainStatus`.
 * @returns undefined while it runs and has never failed.
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
  const how = `result ${unit.get("Result")}, exit status ${unit.get("ExecMainStatus")}`;
  const message = `its supervisor exited and wrote no error (${how})`;
  return { message, fix: `see what it printed: journalctl, and ${path}` };
}

function toFailure({ time, message, cause }: LoggedEvent, fix: Fix | undefined): UnitFailure {
  const what = fix === undefined ? message : message.replace(`; ${toLine(describeFix(fix))}`, "");
  return { message: `${what.replace(/^failed: /, "")}${cause === null ? "" : ` [${cause}]`}, ${time}`, fix };
}

/** The fix is not in the event log. The state has it, for the last failure only. */
async function readFix(stateDir: string, name: string, { message }: LoggedEvent): Promise<Fix | undefined> {
  const exit = (await readLastStatus(stateDir, name))?.lastExit;
  return exit == null || !message.includes(toLine(exit.message)) ? undefined : (exit.fix ?? undefined);
}

/** The service may be another user's, where root asks. */
async function readLastStatus(stateDir: string, name: string): Promise<Status | undefined> {
  try {
    return (await readState(stateDir, name, findForeignOwner(stateDir)))?.status;
  } catch (error) {
    if (error instanceof LlmctlError) return undefined; // a file of a third user is not believed
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
    return (await readTail(path, mostEvents, end.size)).flatMap((line) => parseEventLine(line) ?? []);
  } catch (error) {
    const code = error instanceof LlmctlError ? error.code : systemErrorCode(error);
    if (code === undefined) throw error;
    return { unreadable: `${path} cannot be read (${code})` };
  }
}
