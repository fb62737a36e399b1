import type { BenchEvent } from "../../bench/bench-event.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { formatDuration, formatSize } from "../../base/text/units.ts";
import type { ResumeMessage } from "../../fleet/pause/pause-message.ts";
import type { StopEvent } from "../../fleet/stop-profiles.ts";
import { paint } from "../screen/paint.ts";
import { printError } from "../screen/print.ts";
import { ProgressLine } from "../screen/progress.ts";

/** Draws what a bench or a tune reports, on stderr: its result alone is the output. */
export class BenchScreen {
  #line: { readonly label: string; readonly progress: ProgressLine } | undefined;

  show(event: BenchEvent): void {
    switch (event.kind) {
      case "load":
        this.#progress(`loading ${event.label}`, formatSize).update(event.doneBytes, event.totalBytes);
        return;
      case "round":
        this.#progress("measuring", formatDuration).update(event.doneMs, event.limitMs, event.soFar);
        return;
      case "ready":
        this.#say("dim", `${event.label} is ready after ${formatDuration(event.loadMs)}`);
        return;
      case "died":
        this.#say("yellow", `the server "${event.label}" has died; another one takes its place`);
        return;
      case "stage":
        this.#say(undefined, event.text);
        return;
      case "note":
        this.#say("yellow", event.text);
    }
  }

  showStop(event: StopEvent): void {
    if (event.kind === "stopped") this.#say("dim", `"${event.name}" is stopped; it starts again afterwards`);
  }

  showResume(message: ResumeMessage): void {
    if (message.kind === "running") this.#say("dim", `"${message.name}" is running again`);
    else if (message.kind === "failed") this.#say("red", `"${message.name}" does not run again: ${message.message}`);
    else this.#progress(`${message.name}: ${message.message}`, String).update(0, undefined);
  }

  /** Removes what is drawn in place, so that other text can follow. */
  clear(): void {
    this.#line?.progress.clear();
    this.#line = undefined;
  }

  #progress(label: string, unit: (amount: number) => string): ProgressLine {
    if (this.#line?.label !== label) {
      this.clear();
      this.#line = { label, progress: new ProgressLine({ label, unit, hasRate: false }) };
    }
    return this.#line.progress;
  }

  #say(colour: Parameters<typeof paint>[0] | undefined, text: string): void {
    this.clear();
    const line = printableSentence(text);
    printError(`${colour === undefined ? line : paint(colour, line, process.stderr)}\n`);
  }
}
