import { printableLine } from "../../base/text/printable.ts";
import { formatDuration } from "../../base/text/units.ts";
import { control } from "./guard-output.ts";
import { paint } from "./paint.ts";
import { RateMeter } from "./rate-meter.ts";

/** A terminal is redrawn at most this often: fast enough to look alive, slow enough to cost nothing. */
export const redrawMs = 100;
/** The interval of lines where they stay: in a file, or in the log of a CI. */
export const plainMs = 10_000;
const barWidth = 24;

export interface ProgressOptions {
  readonly label: string;
  /** Undefined if it is not known: then there is no bar and no time left. */
  readonly total?: number;
  /** Writes an amount for people, such as `formatSize`. */
  readonly unit: (amount: number) => string;
  /** False for an amount whose rate and end say nothing. Default: true. */
  readonly hasRate?: boolean;
  readonly stream?: NodeJS.WriteStream;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

/** One progress bar: drawn in place on a terminal, elsewhere a line every 10 s. */
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

  /**
   * @param done The amount so far.
   * @param total The total, if it has only now become known or has changed.
   * @param more What else is known so far.
   */
  update(done: number, total: number | undefined = this.#options.total, more?: string): void {
    const nowMs = this.#now();
    this.#meter.note(nowMs, done);
    if (nowMs - this.#drawnMs < (this.#stream.isTTY ? redrawMs : plainMs)) return;
    this.#drawnMs = nowMs;
    const perSecond = this.#options.hasRate === false ? undefined : this.#meter.perSecond;
    this.#draw({ ...this.#options, done, total, perSecond, more });
  }

  /** Removes the line from the screen, so that other text can follow. */
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
  /** Default: true. */
  readonly hasTimeLeft?: boolean;
  readonly more?: string | undefined;
}

/**
 * The text of a progress bar: `compile  ██████░░░░  38 % of 210 files · 1.4 files/s · 1 min 33 s left`.
 * @param width In columns; a line that is too long loses the bar first. Undefined: a line of any length, without a bar.
 */
export function formatProgress(
  { label, unit, done, total, perSecond, hasTimeLeft = true, more }: Progress,
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
  if (more !== undefined) facts.push(more);
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
