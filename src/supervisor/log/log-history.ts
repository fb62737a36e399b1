import { parseLogTime } from "./log-time.ts";
import { parseRunMarker } from "./server-log.ts";
import { LineCutter, readFrom } from "./log-lines.ts";
import { statOrNone } from "./find-rotated-log.ts";
import { openLogForReading } from "./open-log-for-reading.ts";

/** Lines that were written together, in order. */
export interface LogLine {
  readonly text: string;
  /**
   * Counts from 0, the run that the oldest kept file ends or holds; what stands before its marker belongs to it, too.
   */
  readonly run: number;
  /**
   * When it was written, as far as that is known: of a line without a time of its own the last time before it.
   * Milliseconds since 1970.
   */
  readonly atMs: number;
  /** Whether the build writes times at all, as far as the run has shown. */
  readonly hasTimes: boolean;
}

/**
 * All that is kept of a server's log, oldest first, rotated files included; never more than a piece of it in memory.
 * What a line of more than 64 KiB holds is given in parts.
 * @param end Where the present file is taken to end, in bytes.
 */
export async function* readHistory(path: string, end: number): AsyncGenerator<readonly LogLine[]> {
  const cutter = new LineCutter();
  const clock = new RunClock();
  for (const file of await listFiles(path)) {
    let left = file === path ? end : Infinity;
    const opened = await openLogForReading(file);
    if (opened === undefined) continue; // moved or deleted meanwhile
    for await (const bytes of readFrom(opened, 0)) {
      const lines = [...cutter.cut(bytes.subarray(0, Math.min(left, bytes.length)))];
      left -= bytes.length;
      yield lines.map((text) => clock.place(text));
      if (left <= 0) break;
    }
  }
}

/** The present file last. */
async function listFiles(path: string): Promise<readonly string[]> {
  const files = [path];
  for (let n = 1; (await statOrNone(`${path}.${n}`)) !== undefined; n += 1) files.unshift(`${path}.${n}`);
  return files;
}

/**
 * Tells of each line which run it is of, and when it was written: markers have the day and the time, lines the time
 * since their run began.
 */
class RunClock {
  #run = -1;
  #marker = "";
  /** Unknown before the first marker: what is older than all markers counts as old. */
  #startMs = Number.NEGATIVE_INFINITY;
  #atMs = Number.NEGATIVE_INFINITY;
  #hasTimes = false;

  place(text: string): LogLine {
    const started = parseRunMarker(text);
    const sinceStartMs = parseLogTime(text);
    if (started !== undefined && text === this.#marker) {
      // The run goes on in a new file, as its log was moved or deleted.
    } else if (started !== undefined) {
      this.#marker = text;
      this.#run += 1;
      this.#startMs = this.#atMs = Date.parse(started);
      this.#hasTimes = false;
    } else if (sinceStartMs !== undefined) {
      this.#atMs = this.#startMs + sinceStartMs;
      this.#hasTimes = true;
    }
    return { text, run: this.#run, atMs: this.#atMs, hasTimes: this.#hasTimes };
  }
}
