import { parseLogTime } from "./log-time.ts";
import { parseRunMarker } from "./server-log.ts";
import { LineCutter, readFrom } from "./log-lines.ts";
import { statOrNone } from "./find-rotated-log.ts";
import { openLogForReading } from "./open-log-for-reading.ts";

/** One line of a server's log, with its run and time. */
export interface LogLine {
  readonly text: string;
  /** Number of the run among the kept ones, from 0; -1 before the first kept marker. */
  readonly run: number;
  /** Milliseconds since 1970 when the line was written; a line without a time has the last time before it. */
  readonly atMs: number;
  /** Whether any line of the run so far has a time: some builds write none. */
  readonly hasTimes: boolean;
}

/**
 * Yields all kept lines of a server's log, oldest first, rotated files included, with only a piece of it in memory. A
 * line of more than 64 KiB is yielded in parts.
 * @param end Offset that counts as the end of the present file.
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

/** Oldest first, the present file last. */
async function listFiles(path: string): Promise<readonly string[]> {
  const files = [path];
  for (let n = 1; (await statOrNone(`${path}.${n}`)) !== undefined; n += 1) files.unshift(`${path}.${n}`);
  return files;
}

/** Finds run and time of each line: markers have date and time, other lines the time since their run began. */
class RunClock {
  #run = -1;
  #marker = "";
  /** Lines before the first marker have no known time and count as older than all others. */
  #startMs = Number.NEGATIVE_INFINITY;
  #atMs = Number.NEGATIVE_INFINITY;
  #hasTimes = false;

  place(text: string): LogLine {
    const started = parseRunMarker(text);
    const sinceStartMs = parseLogTime(text);
    if (started !== undefined && text === this.#marker) {
      // A repeated marker: the same run continues in a new file, as its log was moved or deleted.
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
