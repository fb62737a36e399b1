import type { ServerLog } from "./server-log.ts";

/** A line without end is cut here: none that says something to us is that long. */
const longestLine = 4096;

/** Reads the lines that a server adds to its log, from the start of its run on. */
export class ServerLogReader {
  readonly #log: ServerLog;
  #offset: number;
  #partial = "";

  constructor(log: ServerLog) {
    this.#log = log;
    this.#offset = log.runStart;
  }

  /** The log was rotated; the rest of a line that was cut by it is still to come. */
  startAnew(): void {
    this.#offset = this.#log.cutAt;
  }

  /**
   * The whole lines that came since the last call. Of more than `mostBytes` only the newest are read, the first of them
   * perhaps cut.
   */
  *read(mostBytes: number): Generator<string> {
    const size = this.#log.sizeBytes;
    if (size < this.#offset) this.#offset = 0; // truncated by someone else
    if (size - this.#offset > mostBytes) {
      this.#offset = size - mostBytes;
      this.#partial = "";
    }
    // Up to the end that was seen: to ask whether there is more would cost another buffer, at each of many looks.
    for (let left = mostBytes; this.#offset < size && left > 0;) {
      const bytes = this.#log.read(this.#offset);
      if (bytes.length === 0) break;
      left -= bytes.length;
      this.#offset += bytes.length;
      const lines = (this.#partial + bytes.toString("latin1")).split("\n");
      this.#partial = (lines.pop() ?? "").slice(0, longestLine);
      // Also of those that ended: what looks through a line takes up to the square of its length.
      for (const line of lines) yield line.length > longestLine ? line.slice(0, longestLine) : line;
    }
  }
}
