import { formatSize } from "../../base/text/units.ts";
import { control } from "./guard-output.ts";
import { formatProgress, paintBar, plainMs, redrawMs } from "./progress.ts";
import { RateMeter } from "./rate-meter.ts";

export interface ProgressBarsOptions {
  /** The label of the line with the total. */
  readonly label: string;
  readonly stream?: NodeJS.WriteStream;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

interface Bar {
  readonly meter: RateMeter;
  doneBytes: number;
  sizeBytes: number;
  isMoving: boolean;
}

/**
 * The progress of several files at once. On a terminal each file has a bar and there is a total, drawn in place;
 * elsewhere the total is printed every 10 s.
 */
export class ProgressBars {
  readonly #label: string;
  readonly #stream: NodeJS.WriteStream;
  readonly #now: () => number;
  readonly #bars = new Map<string, Bar>();
  readonly #total = new RateMeter();
  #drawnLines = 0;
  #drawnMs: number;

  constructor({ label, stream = process.stderr, now = () => performance.now() }: ProgressBarsOptions) {
    this.#label = label;
    this.#stream = stream;
    this.#now = now;
    this.#drawnMs = stream.isTTY ? Number.NEGATIVE_INFINITY : now();
  }

  /** Counts a file in the total; it has no bar until it moves. */
  expect(label: string, doneBytes: number, sizeBytes: number): void {
    this.#bars.set(label, { meter: new RateMeter(), doneBytes, sizeBytes, isMoving: false });
  }

  update(label: string, doneBytes: number, sizeBytes: number): void {
    if (!this.#bars.has(label)) this.expect(label, doneBytes, sizeBytes);
    const bar = this.#bars.get(label);
    if (bar === undefined) return;
    Object.assign(bar, { doneBytes, sizeBytes, isMoving: true });
    const nowMs = this.#now();
    bar.meter.note(nowMs, doneBytes);
    this.#total.note(nowMs, this.#sum("doneBytes"));
    if (nowMs - this.#drawnMs < (this.#stream.isTTY ? redrawMs : plainMs)) return;
    this.#drawnMs = nowMs;
    this.#draw();
  }

  /** Removes the file's bar; the file stays in the total. */
  finish(label: string): void {
    const bar = this.#bars.get(label);
    if (bar !== undefined) Object.assign(bar, { doneBytes: bar.sizeBytes, isMoving: false });
  }

  /** Removes the bars from the screen, so that other text can follow. */
  clear(): void {
    if (this.#drawnLines > 0) this.#stream.write(`${this.#toTop()}${this.#control("\u001b[J")}`);
    this.#drawnLines = 0;
    if (this.#stream.isTTY) this.#drawnMs = Number.NEGATIVE_INFINITY;
  }

  #draw(): void {
    if (!this.#stream.isTTY) {
      this.#stream.write(`${this.#totalLine()}\n`);
      return;
    }
    const width = (this.#stream.columns || 80) - 1;
    const moving = [...this.#bars].filter(([, bar]) => bar.isMoving);
    const labelWidth = Math.max(this.#label.length, ...moving.map(([label]) => label.length));
    const shown = [...this.#fileLines(moving, labelWidth, width), this.#totalLine(labelWidth, width)];
    const lines = shown.map((line) => `${paintBar(line, this.#stream)}${this.#control("\u001b[K")}`);
    this.#stream.write(`${this.#toTop()}${lines.join("\n")}${this.#control("\u001b[J")}`);
    this.#drawnLines = lines.length;
  }

  /** As many lines as the window has room for: a line that has scrolled out of it cannot be drawn again. */
  #fileLines(moving: readonly (readonly [string, Bar])[], labelWidth: number, width: number): string[] {
    const room = Math.max(1, (this.#stream.rows || 24) - 3);
    const lines = moving.slice(0, room).map(([label, { meter, doneBytes, sizeBytes }]) => {
      const shown = {
        label: label.padEnd(labelWidth),
        unit: formatSize,
        done: doneBytes,
        total: sizeBytes,
        perSecond: meter.perSecond,
      };
      return formatProgress({ ...shown, hasTimeLeft: false }, width);
    });
    return moving.length > room ? [...lines, `and ${moving.length - room} more`] : lines;
  }

  #totalLine(labelWidth = 0, width?: number): string {
    const total = { done: this.#sum("doneBytes"), total: this.#sum("sizeBytes"), perSecond: this.#total.perSecond };
    return formatProgress({ label: this.#label.padEnd(labelWidth), unit: formatSize, ...total }, width);
  }

  #sum(key: "doneBytes" | "sizeBytes"): number {
    return [...this.#bars.values()].reduce((sum, bar) => sum + bar[key], 0);
  }

  #toTop(): string {
    const up = this.#drawnLines > 1 ? this.#control(`\u001b[${this.#drawnLines - 1}A`) : "";
    return `${this.#control("\r")}${up}`;
  }

  #control(sequence: string): string {
    return control(sequence, this.#stream);
  }
}
