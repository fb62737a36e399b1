import { printableLine } from "../../base/text/printable.ts";
import { formatDuration } from "../../base/text/units.ts";
import { control } from "./guard-output.ts";
import { paint } from "./paint.ts";
import { RateMeter } from "./rate-meter.ts";

/** A terminal is redrawn at most this often: fast enough to look alive, slow enough to cost nothing. */
export const redrawMs = 100;
/** Where lines stay (a file, a CI log), one each this often is enough. */
export const plainMs = 10_000;
const barWidth = 24;

export interface ProgressOptions {
  readonly label: string;
  /** Undefined when it is not known: then there is no bar and no time left. */
  readonly total?: number;
  /** Writes an amount for people, such as `formatSize`. */
  readonly unit: (amount: number) => string;
  readonly stream?: NodeJS.WriteStream;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

/** One line that shows how far something is: drawn in place on a terminal, elsewhere a line each 10 s. */
export class ProgressLine {
  readonly #options: ProgressOptions;
  readonly #stream: NodeJS.WriteStream;
  readonly #now: () => number;
  readonly #meter = new RateMeter();
  #drawnMs: number;
  #isDrawn = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#stream = options.stream ?? process.stderr;
    this.#now = options.now ?? (() => performance.now());
    this.#drawnMs = this.#stream.isTTY ? Number.NEGATIVE_INFINITY : this.#now();
  }

  /** @param done The amount so far. @param total Where it is known only now, or has changed. */
  update(done: number, total: number | undefined = this.#options.total): void {
    const nowMs = this.#now();
    this.#meter.note(nowMs, done);
    if (nowMs - this.#drawnMs < (this.#stream.isTTY ? redrawMs : plainMs)) return;
    this.#drawnMs = nowMs;
    this.#draw({ ...this.#options, done, total, perSecond: this.#meter.perSecond });
  }

  /** Takes the line away, so that other text can follow. */
  clear(): void {
    if (this.#isDrawn) this.#stream.write(`${control("\r", this.#stream)}${control("\u001b[K", this.#stream)}`);
    this.#isDrawn = false;
    if (this.#stream.isTTY) this.#drawnMs = Number.NEGATIVE_INFINITY;
  }

  #draw(progress: Progress): void {
    if (!this.#stream.isTTY) {
      this.#stream.write(`${formatProgress(progress)}\n`);
      return;
    }
    const text = formatProgress(progress, (this.#stream.columns || 80) - 1);
    this.#stream.write(
      `${control("\r", this.#stream)}${paintBar(text, this.#stream)}${control("\u001b[K", this.#stream)}`,
    );
    this.#isDrawn = true;
  }
}

export function paintBar(line: string, stream: NodeJS.WriteStream): string {
  return line.replace(/█+/, (bar) => paint("green", bar, stream)).replace(/░+/, (bar) => paint("dim", bar, stream));
}

interface Progress extends Pick<ProgressOptions, "label" | "unit"> {
  readonly done: number;
  readonly total?: number | undefined;
  readonly perSecond: number | undefined;
  /** True unless told. */
  readonly hasTimeLeft?: boolean;
}

/**
 * The line: `compile  ██████░░░░  38 % of 210 files · 1.4 files/s · 1 min 33 s left`.
 * @param width In columns; the bar goes first where it is too small. Undefined: a line of any length, without a bar.
 */
export function formatProgress(
  { label, unit, done, total, perSecond, hasTimeLeft = true }: Progress,
  width?: number,
): string {
  const amount =
    total === undefined
      ? unit(done)
      : `${Math.floor((100 * Math.min(done, total)) / Math.max(total, 1))} % of ${unit(total)}`;
  const facts = [amount];
  if (perSecond !== undefined && perSecond > 0) {
    facts.push(`${unit(perSecond >= 10 ? Math.round(perSecond) : Math.round(perSecond * 10) / 10)}/s`);
    if (hasTimeLeft && total !== undefined && done < total)
      facts.push(`${formatDuration(((total - done) / perSecond) * 1000)} left`);
  }
  const text = facts.join(" · ");
  const head = printableLine(label);
  const line = `${head}  ${text}`;
  if (width === undefined) return line;
  if (total !== undefined && line.length + barWidth + 2 <= width)
    return `${head}  ${bar(done / Math.max(total, 1))}  ${text}`;
  return line.slice(0, Math.max(0, width));
}

function bar(share: number): string {
  const filled = Math.round(barWidth * Math.min(1, Math.max(0, share)));
  return "█".repeat(filled) + "░".repeat(barWidth - filled);
}
