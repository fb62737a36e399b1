import type { Readable } from "node:stream";

/**
 * The whole lines of a stream as they come. A stream that breaks or is destroyed just ends, and a last line that was cut is dropped: what
 * that means, the reader knows from the lines before. (node:readline waits for ever on a stream that is destroyed.)
 */
export async function* readLines(stream: Readable): AsyncGenerator<string> {
  stream.setEncoding("utf8");
  let partial = "";
  try {
    for await (const chunk of stream) {
      const lines = (partial + String(chunk)).split("\n");
      partial = lines.pop() ?? "";
      yield* lines;
    }
  } catch {
    return; // broken or destroyed
  }
}
