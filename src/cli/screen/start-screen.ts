import { printableSentence } from "../../base/text/printable.ts";
import type { StartEvent } from "../../fleet/start/start-event.ts";
import { TerminalReporter } from "./pull-reporter.ts";
import { showPlanNotes } from "./show-plan-notes.ts";
import { reportError } from "./report-error.ts";
import { EventScreen, showFailure } from "./show-events.ts";

/** Draws what a start or a restart reports. */
export class StartScreen {
  #statuses = new EventScreen();
  #models: TerminalReporter | undefined;

  show(event: StartEvent): void {
    if (event.kind === "status") return this.#statuses.show(event.event);
    if (event.kind === "model") return this.#models?.show(event.event);
    // What comes next belongs to another supervisor, or to another try.
    this.#statuses = new EventScreen();
    this.#showLine(event);
  }

  /** From now on events of models are drawn on stderr. @param onStatus Told one line that says what is done. */
  beginModels(onStatus: (text: string) => void): void {
    this.#models = new TerminalReporter(process.stderr, onStatus);
  }

  endModels(): void {
    this.#models?.clear();
    this.#models = undefined;
  }

  #showLine(event: Exclude<StartEvent, { kind: "status" | "model" }>): void {
    switch (event.kind) {
      case "profile":
        process.stdout.write(`${event.isFirst ? "" : "\n"}${event.name}\n`);
        return;
      case "plan":
        showPlanNotes(event.plan);
        return;
      case "waiting":
        process.stdout.write(`"${event.name}" waits: ${printableSentence(event.cause.message)}\n`);
        return;
      case "already-running":
        process.stdout.write(`"${event.name}" is already running\n`);
        return;
      case "being-stopped":
        process.stdout.write(`"${event.name}" is being stopped; waiting for its end\n`);
        return;
      case "failed":
        showFailure(event.failure);
        return;
      case "error":
        reportError(event.error);
        return;
      case "nothing-running":
        process.stdout.write("nothing is running\n");
    }
  }
}
