import type { ServerLog } from "./server-log.ts";

/** Longer lines are cut: no line that we parse is that long. */
const longestLine = 4096;

/** Reads the lines that a server adds to its log, from the start of its run. */
export class ServerLogReader {
  readonly #log: ServerLog;
  #offset: number;
  #partial = "";

  constructor(log: ServerLog) {
    this.#log = log;
    this.#offset = log.runStart;
  }

  /** Continues after a rotation; the rest of a line that the rotation has cut is still to come. */
  startAnew(): void {
    this.#offset = this.#log.cutAt;
  }

  /**
   * Yields complete lines since the last call; of more than `mostBytes` only the newest, the first of them perhaps cut.
   */
  *read(mostBytes: number): Generator<string> {
    const size = this.#log.sizeBytes;
    if (size < this.#offset) this.#offset = 0; // truncated by someone else
    if (size - this.#offset > mostBytes) {
      this.#offset = size - mostBytes;
      this.#partial = "";
    }
    // Up to the size seen above: reading until the end of the file would cost another buffer at each of many calls.
    for (let left = mostBytes; this.#offset < size && left > 0;) {
      const bytes = this.#log.read(this.#offset);
      if (bytes.length === 0) break;
      left -= bytes.length;
      this.#offset += bytes.length;
      const lines = (this.#partial + bytes.toString("latin1")).split("\n");
      this.#partial = (lines.pop() ?? "").slice(0, longestLine);
      // Complete lines are cut as well: some parsers take time quadratic in the length.
      for (const line of lines) yield line.length > longestLine ? line.slice(0, longestLine) : line;
    }
  }
}
