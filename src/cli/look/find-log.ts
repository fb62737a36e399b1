import { LlmctlError } from "../../base/errors.ts";
import type { Fix } from "../../base/fix.ts";
import type { Paths } from "../../base/files/paths.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { findComingLog, findLogEnd, type LogEnd } from "../../supervisor/log/follow-log.ts";
import { printError } from "../screen/print.ts";

interface WantedLog {
  readonly name: string;
  readonly path: string;
  /** `log`: output of the server. `events`: changes of the supervisor. */
  readonly kind: "log" | "events";
}

/** The error for a log that is not there, and whether the log will come. */
interface Absence {
  readonly error: LlmctlError;
  /** Its supervisor runs, and makes a new one. */
  readonly isComing: boolean;
}

/**
 * Finds the present end of a log. With `follow` it waits for a log that was moved or deleted while its supervisor runs.
 * @throws LlmctlError `no-log`, `no-events`.
 */
export async function findWantedLog(paths: Paths, log: WantedLog, follow: boolean): Promise<LogEnd> {
  const end = await findLogEnd(log.path);
  if (end !== undefined) return end;
  const { error, isComing } = await explainAbsence(paths, log);
  if (!follow || !isComing) throw error;
  printError(`llmctl: ${printableSentence(error.message)}; waiting for the new one\n`);
  return findComingLog(log.path);
}

/** A log is missing because it was moved or deleted, or because its profile has never run. */
async function explainAbsence(paths: Paths, { name, path, kind }: WantedLog): Promise<Absence> {
  const absence = (message: string, fix: Fix, isComing = false): Absence => ({
    error: new LlmctlError(`no-${kind}`, message, { exit: "missingFile", at: path, fix }),
    isComing,
  });
  const { readStateOfAnyone } = await import("../../fleet/foreign-states.ts");
  const state = await readStateOfAnyone(paths, name);
  if (state === undefined)
    return absence(`"${name}" has no ${kind}`, { before: "it has never run; start it:", run: ["up", name] });
  const moved = `the ${kind === "log" ? "log" : "event log"} of "${name}" was moved or deleted`;
  if (state.presence === "gone")
    return absence(moved, { before: "its next start makes a new one:", run: ["up", name] });
  if (state.presence === "orphaned")
    return absence(`${moved}, and its server runs without a supervisor`, { before: "start one:", run: ["up", name] });
  const when = kind === "log" ? "at its next health check" : "with the next event";
  return absence(
    moved,
    {
      before: `its supervisor makes a new one ${when}; wait for it:`,
      run: [kind === "log" ? "logs" : "events", "-f", name],
    },
    true,
  );
}
