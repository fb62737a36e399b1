import { printableSentence } from "../../base/text/printable.ts";
import { formatDuration, formatSize } from "../../base/text/units.ts";
import type { LoadProgress, StateName, StatusEvent } from "../../control/messages.ts";
import type { StartFailure } from "../../fleet/start/wait-for-ready.ts";
import { quoteLogLine } from "../../supervisor/log/last-log-lines.ts";
import { formatProblem } from "./report-error.ts";
import { paint } from "./paint.ts";
import { ProgressLine } from "./progress.ts";

const colours: Partial<Record<StateName, Parameters<typeof paint>[0]>> = {
  ready: "green",
  unhealthy: "yellow",
  backoff: "yellow",
  stuck: "red",
  failed: "red",
};

/** Shows what a supervisor does: changes as lines that stay, a load as one line that is redrawn. */
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

/** Prints why a start failed: the end of the server's log, the cause, and what to do next. */
export function showFailure({ status, lastLines }: StartFailure): void {
  if (lastLines.length > 0) process.stderr.write(lastLines.map(quoteLogLine).join(""));
  const problem = {
    message:
      status.lastExit === null ? `"${status.name}" failed` : `"${status.name}" failed: ${status.lastExit.message}`,
    at: status.runs === 0 ? status.profile : `full log: llmctl logs ${status.name}`,
    ...(status.lastExit?.fix == null ? {} : { fix: status.lastExit.fix }),
  };
  process.stderr.write(`${formatProblem(problem)}\n`);
}
