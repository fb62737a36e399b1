import { LlmctlError } from "../../base/errors.ts";
import type { Fix } from "../../base/fix.ts";
import type { Paths } from "../../base/files/paths.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { findComingLog, findLogEnd, type LogEnd } from "../../supervisor/log/follow-log.ts";

interface WantedLog {
  readonly name: string;
  readonly path: string;
  /** What it holds, and the name of the command. */
  readonly kind: "log" | "events";
}

/** Why a log is not there, and whether it will come. */
interface Absence {
  readonly error: LlmctlError;
  /** Its supervisor runs, and makes it anew. */
  readonly isComing: boolean;
}

/**
 * Where a log ends now. Who follows it waits for one that was moved or deleted under a running supervisor.
 * @throws LlmctlError `no-log`, `no-events`.
 */
export async function findWantedLog(paths: Paths, log: WantedLog, follow: boolean): Promise<LogEnd> {
  const end = await findLogEnd(log.path);
  if (end !== undefined) return end;
  const { error, isComing } = await explainAbsence(paths, log);
  if (!follow || !isComing) throw error;
  process.stderr.write(`llmctl: ${printableSentence(error.message)}; waiting for the new one\n`);
  return findComingLog(log.path);
}

/** A log that is not there was moved or deleted, unless its profile has never run. */
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
