import type { FileHandle } from "node:fs/promises";

export const chunkBytes = 64 * 1024;
/** A line longer than this is given in parts. */
const longestLine = 64 * 1024;

/** Cuts lines as bytes, so that a character cut by a read is whole again. */
export class LineCutter {
  #partial = "";

  *cut(bytes: Buffer): Generator<string> {
    const lines = (this.#partial + bytes.toString("latin1")).split("\n");
    this.#partial = lines.pop() ?? "";
    if (this.#partial.length > longestLine) {
      lines.push(this.#partial);
      this.#partial = "";
    }
    for (const line of lines) yield Buffer.from(line, "latin1").toString("utf8");
  }

  /** A line without an end, which will not come any more. */
  *rest(): Generator<string> {
    const line = this.#partial;
    this.#partial = "";
    if (line !== "") yield Buffer.from(line, "latin1").toString("utf8");
  }
}

/** A file's bytes from an offset to its end, piece by piece; closes it. */
export async function* readFrom(file: FileHandle, offset: number): AsyncGenerator<Buffer> {
  try {
    for (let at = offset; ;) {
      const bytes = await readAt(file, at);
      if (bytes.length === 0) return;
      at += bytes.length;
      yield bytes;
    }
  } finally {
    await file.close();
  }
}

export async function readAt(file: FileHandle, offset: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(chunkBytes), 0, chunkBytes, offset);
  return buffer.subarray(0, bytesRead);
}
