import { join } from "node:path";
import { exitCodes } from "../../base/exit-codes.ts";
import { LlmctlError } from "../../base/errors.ts";
import { findPaths } from "../../base/files/paths.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { formatDuration, formatSize } from "../../base/text/units.ts";
import type { LoadProgress, StateName, StatusEvent } from "../../control/messages.ts";
import type { Launch } from "../../supervisor/launch.ts";
import { formatProblem } from "./report-error.ts";
import { paint } from "./paint.ts";
import { ProgressLine } from "./progress.ts";
import { quoteLogLine, readLastRun } from "../../supervisor/log/last-log-lines.ts";

const lastLines = 20;

const colours: Partial<Record<StateName, Parameters<typeof paint>[0]>> = {
  ready: "green",
  unhealthy: "yellow",
  backoff: "yellow",
  stuck: "red",
  failed: "red",
};

/** Shows what happens: changes as lines that stay, a load as one line that moves. */
export class EventScreen {
  #load: ProgressLine | undefined;

  /** A line has the time since this command was started, then what happened. */
  show(event: StatusEvent): void {
    const { state, load } = event.status;
    if (event.isProgress && load !== null) return this.#showLoad(load);
    this.#load?.clear();
    this.#load = undefined;
    const time = paint("dim", formatDuration(performance.now()).padStart(9), process.stdout);
    const colour = colours[state];
    const message = printableSentence(event.message);
    process.stdout.write(`${time}  ${colour === undefined ? message : paint(colour, message, process.stdout)}\n`);
  }

  #showLoad({ doneBytes, totalBytes }: LoadProgress): void {
    this.#load ??= new ProgressLine({ label: "loading", total: totalBytes, unit: formatSize });
    this.#load.update(doneBytes);
  }
}

/** Says why a start failed: cause, the end of the log, what to do next. @returns the exit code of `up`. */
export async function showFailure(event: StatusEvent): Promise<number> {
  const { status } = event;
  // Where no server was started, the end of the log is of an earlier time.
  const tail = status.runs === 0 ? [] : await readLastRun(status.log, lastLines);
  if (tail.length > 0) process.stderr.write(tail.map(quoteLogLine).join(""));
  const problem = {
    message:
      status.lastExit === null ? `"${status.name}" failed` : `"${status.name}" failed: ${status.lastExit.message}`,
    at: status.runs === 0 ? status.profile : `full log: llmctl logs ${status.name}`,
    ...(status.lastExit?.fix == null ? {} : { fix: status.lastExit.fix }),
  };
  process.stderr.write(`${formatProblem(problem)}\n`);
  return event.end?.code ?? exitCodes.failed.code;
}

/**
 * Shows changes until the server is ready or the supervisor has given up.
 * @returns the exit code of the command.
 * @throws LlmctlError `not-ready-in-time` at the time limit, `stopped-meanwhile` and `other-configuration` where
 *   somebody else's wish came after ours, `supervisor-gone` when the events end with none of these.
 */
export async function waitForReady(
  { name, hash }: Pick<Launch, "name" | "hash">,
  events: AsyncIterable<StatusEvent>,
  timeout: AbortSignal | undefined,
): Promise<number> {
  const screen = new EventScreen();
  try {
    for await (const event of events) {
      screen.show(event);
      if (event.end?.code === 0) throw stoppedMeanwhile(name, event);
      if (event.end !== undefined) return await showFailure(event);
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
  throw new LlmctlError("supervisor-gone", `the supervisor of "${name}" ended without a word`, {
    exit: "failed",
    fix: `see ${join(findPaths().state, name, "supervisor.log")}`,
  });
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
