import type { Clock } from "../../base/clock.ts";
import { exitCodes } from "../../base/exit-codes.ts";
import { LlmctlError } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { StatusEvent } from "../../control/messages.ts";
import { eventLogPath } from "../../supervisor/log/event-log.ts";
import { readLastRun } from "../../supervisor/log/last-log-lines.ts";
import type { Launch } from "../../supervisor/launch.ts";
import type { OnStartEvent, StartFailure } from "./start-event.ts";

const mostLines = 20;

/** @param event The last event of a supervisor. */
export async function readFailure({ status, end }: StatusEvent): Promise<StartFailure> {
  // Where no server was started, the end of the log is of an earlier time.
  const lastLines = status.runs === 0 ? [] : await readLastRun(status.log, mostLines);
  return { status, lastLines, exitCode: end?.code ?? exitCodes.failed.code };
}

export interface WaitOptions {
  readonly paths: Paths;
  /** Aborted at the time limit; undefined: no limit. */
  readonly timeout: AbortSignal | undefined;
  readonly onEvent: OnStartEvent;
  readonly clock?: Pick<Clock, "sleep">;
}

/**
 * Reports changes until the server is ready or the supervisor has given up.
 * @returns the exit code.
 * @throws LlmctlError `not-ready-in-time` at the time limit, `stopped-meanwhile` and `other-configuration` where
 *   somebody else's wish came after ours, `supervisor-gone` when the events end with none of these.
 */
export async function waitForReady(
  { name, hash }: Pick<Launch, "name" | "hash">,
  events: AsyncIterable<StatusEvent>,
  { paths, timeout, onEvent }: WaitOptions,
): Promise<number> {
  try {
    for await (const event of events) {
      onEvent({ kind: "status", event });
      if (event.end?.code === 0) throw stoppedMeanwhile(name, event);
      if (event.end !== undefined) {
        const failure = await readFailure(event);
        onEvent({ kind: "failed", failure });
        return failure.exitCode;
      }
      if (event.status.state !== "ready") continue;
      if (event.status.hash !== hash) throw otherConfiguration(name);
      return 0;
    }
  } catch (error) {
    if (!timeout?.aborted) throw error;
  }
  if (timeout?.aborted) {
    throw new LlmctlError("not-ready-in-time", `"${name}" is not ready yet; it goes on loading`, {
      exit: "notReadyInTime",
      fix: { before: "see", run: ["status", name], or: "give a longer --timeout" },
    });
  }
  throw supervisorGone(name, paths);
}

/** How a process ended, where that is known: its exit code, or the signal that ended it. */
export type Ending = { readonly code: number } | { readonly signal: NodeJS.Signals };

/** The error for a supervisor that exited before its server was ready, and told nobody why. */
export function supervisorGone(name: string, { state }: Paths, ending?: Ending): LlmctlError {
  return new LlmctlError(
    "supervisor-gone",
    `the supervisor of "${name}" ${describeEnding(ending)} and wrote no error`,
    { exit: "failed", fix: `see ${eventLogPath(state, name)}` },
  );
}

function describeEnding(ending: Ending | undefined): string {
  if (ending === undefined) return "exited";
  return "code" in ending ? `exited with code ${ending.code}` : `was ended by ${ending.signal}`;
}

function stoppedMeanwhile(name: string, { message }: StatusEvent): LlmctlError {
  return new LlmctlError("stopped-meanwhile", `"${name}" is not running: it was ${message}`, {
    exit: "notRunning",
    fix: { before: "start it again:", run: ["up", name] },
  });
}

function otherConfiguration(name: string): LlmctlError {
  return new LlmctlError(
    "other-configuration",
    `"${name}" is ready, but with another configuration, which somebody asked for meanwhile`,
    {
      exit: "busy",
      fix: { run: ["restart", name], after: "to take up the present one" },
    },
  );
}
