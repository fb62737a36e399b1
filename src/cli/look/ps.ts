import { exitCodeOf } from "../../base/errors.ts";
import { findPaths } from "../../base/files/paths.ts";
import type { Status } from "../../control/messages.ts";
import { jsonText } from "../screen/json-text.ts";
import { listStates } from "../../fleet/list-states.ts";
import { isSinceKnown, type ProfileState } from "../../supervisor/state/profile-states.ts";
import { outputWidth, print, printError } from "../screen/print.ts";

interface PsOptions {
  readonly all: boolean;
  readonly json: boolean;
}

/**
 * Lists the profiles that run or have failed; with `all` also those that were stopped.
 * @returns the exit code; that of the first profile whose folder or socket is refused.
 */
export async function ps({ all, json }: PsOptions): Promise<number> {
  const { states, unseen } = await listStates(findPaths(), { all });
  if (json) print(jsonText(states.map(describeAsJson)));
  else if (states.length === 0) print("nothing is running\n");
  else await printTable(states);
  if (!json && unseen.length > 0) {
    const { serviceCommand } = await import("../../fleet/foreign-states.ts");
    printError(`services of the machine (${unseen.join(", ")}) are another user's: ${serviceCommand()}\n`);
  }
  const refused = states.flatMap(({ presence, error }) =>
    presence === "unknown" && error !== undefined ? [error] : [],
  );
  if (refused.length === 0) return 0;
  const { reportError } = await import("../screen/report-error.ts");
  if (!json) for (const error of refused) reportError(error);
  return exitCodeOf(refused[0]);
}

/** The JSON of a profile's state; `user` only where that is not the caller. */
export function describeAsJson({
  presence,
  status,
  user,
}: ProfileState): Status & Pick<ProfileState, "presence" | "user"> {
  return { presence, ...(user === undefined ? {} : { user }), ...status };
}

async function printTable(states: readonly ProfileState[]): Promise<void> {
  const [{ formatTable }, { describeLoad }] = await Promise.all([
    import("../../base/text/table.ts"),
    import("../../supervisor/describe-state.ts"),
  ]);
  const hasOthers = states.some(({ user }) => user !== undefined);
  const header = ["NAME", "STATE", "SINCE", "PID", "URL", "DRAFTING", "RESTARTS", ...(hasOthers ? ["USER"] : [])];
  const rows = states.map(({ presence, status, user }) => [
    status.name,
    describePresence(presence, status.state, status.load === null ? "" : describeLoad(status.load)),
    !isSinceKnown(status) || describePresence(presence, status.state) === "dead" ? "-" : since(status.since),
    presence === "gone" ? "-" : String(status.pid ?? "-"),
    presence === "gone" ? "-" : (status.url ?? "-"),
    presence === "gone" ? "-" : summarize(status),
    String(status.restarts),
    ...(hasOthers ? [user ?? "-"] : []),
  ]);
  print(formatTable(header, rows, outputWidth()));
}

/** A supervisor that ended without a last event was killed, whatever its last state was; nobody knows when. */
export function describePresence(presence: ProfileState["presence"], state: string, load = ""): string {
  if (presence === "live") return load === "" ? state : `${state} ${load}`;
  if (presence === "gone") return state === "stopped" || state === "failed" ? state : "dead";
  return presence;
}

/** `on 77%`, `on 77% loses`, `off`, `unproven`. */
function summarize({ drafting, draftingSpeedup }: Status): string {
  if (drafting.state !== "on") return drafting.state;
  const loses = draftingSpeedup?.verdict === "loses" ? " loses" : "";
  return `on ${Math.round((100 * drafting.acceptedTokens) / drafting.draftTokens)}%${loses}`;
}

/** Time since an instant in one unit, as it fits a column: `12s`, `3h`. */
function since(iso: string): string {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(iso)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)}h` : `${Math.round(seconds / 86_400)}d`;
}
