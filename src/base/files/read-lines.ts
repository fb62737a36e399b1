import { StringDecoder } from "node:string_decoder";
import type { Readable } from "node:stream";
import { LlmctlError } from "../errors.ts";

/**
 * Bounds a line that never ends, which would be buffered in memory. The longest lines that llmctl writes, events with a
 * status, have some 20 kB.
 */
const longestLineBytes = 4 << 20;

/**
 * Yields the complete lines of a stream as they arrive. A stream that fails or is destroyed ends the iteration, and an
 * incomplete last line is dropped; the caller judges from the lines before what that means. (node:readline waits for
 * ever on a destroyed stream.)
 * @throws LlmctlError `line-too-long`; the stream is destroyed then.
 */
export async function* readLines(stream: Readable, mostBytes: number = longestLineBytes): AsyncGenerator<string> {
  const lines = new LineJoiner(mostBytes);
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<string | Buffer>;
  try {
    for (;;) {
      const next = await nextChunk(chunks);
      if (next === undefined) return;
      yield* lines.add(next);
    }
  } finally {
    stream.destroy();
  }
}

/** @returns undefined at the end, and when the stream has failed or was destroyed. */
async function nextChunk(chunks: AsyncIterator<string | Buffer>): Promise<string | Buffer | undefined> {
  try {
    const { done, value } = await chunks.next();
    return done === true ? undefined : value;
  } catch {
    return undefined; // failed or destroyed
  }
}

/** Joins chunks to lines. It scans each byte once, however small the chunks are. */
class LineJoiner {
  readonly #mostBytes: number;
  readonly #decoder = new StringDecoder("utf8");
  #parts: string[] = [];
  #length = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  *add(chunk: string | Buffer): Generator<string> {
    const pieces = (typeof chunk === "string" ? chunk : this.#decoder.write(chunk)).split("\n");
    for (const [index, piece] of pieces.entries()) {
      if (index > 0) yield this.#take();
      this.#parts.push(piece);
      this.#length += piece.length;
      if (this.#length > this.#mostBytes) {
        throw new LlmctlError("line-too-long", `a line has more than ${this.#mostBytes} characters`, {
          exit: "failed",
        });
      }
    }
  }

  #take(): string {
    const line = this.#parts.join("");
    this.#parts = [];
    this.#length = 0;
    return line;
  }
}
