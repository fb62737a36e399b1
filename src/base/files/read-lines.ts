import { StringDecoder } from "node:string_decoder";
import type { Readable } from "node:stream";
import { LlmctlError } from "../errors.ts";

/**
 * Stops a line without end, which would be kept until it ends. The longest lines of ours, events with a status, have
 * some 20 kB.
 */
const longestLineBytes = 4 << 20;

/**
 * The whole lines of a stream as they come. A stream that breaks or is destroyed just ends, and a last line that was
 * cut is dropped: what that means, the reader knows from the lines before. (node:readline waits for ever on a stream
 * that is destroyed.)
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

/** @returns undefined at the end, and where the stream is broken or destroyed. */
async function nextChunk(chunks: AsyncIterator<string | Buffer>): Promise<string | Buffer | undefined> {
  try {
    const { done, value } = await chunks.next();
    return done === true ? undefined : value;
  } catch {
    return undefined; // broken or destroyed
  }
}

/** Each byte is looked at once, however small the pieces of a line are. */
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
