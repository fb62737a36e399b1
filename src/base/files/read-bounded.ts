import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/**
 * Text of a file that others may have put there, links followed: a pipe would keep a reader waiting for ever, and a
 * huge file, or one such as `/dev/zero`, would fill its memory.
 * @returns undefined where it is no regular file, or has more than `mostBytes`.
 * @throws the system's error.
 */
export async function readBounded(path: string, mostBytes: number): Promise<string | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const info = await file.stat();
    if (!info.isFile() || info.size > mostBytes) return undefined;
    // Files of /proc say that they are empty, and others may grow while they are read: only the end tells how long a
    // file is.
    return (await collectBounded(readChunks(file, Math.max(info.size, leastChunkBytes) + 1), mostBytes))?.toString(
      "utf8",
    );
  } finally {
    await file.close();
  }
}

const leastChunkBytes = 16 << 10;

/**
 * All that there is.
 * @param bytes Of the first chunk, which holds all of a file that does not grow; of those behind it a little.
 */
async function* readChunks(file: FileHandle, bytes: number): AsyncGenerator<Uint8Array> {
  for (let size = bytes; ; size = leastChunkBytes) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(size), 0, size, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

/**
 * All of a body that others send.
 * @returns undefined as soon as it is longer than `mostBytes`, without waiting for its end; the source is then let go
 *   of.
 */
export async function collectBounded(
  chunks: AsyncIterable<Uint8Array>,
  mostBytes: number,
): Promise<Buffer | undefined> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > mostBytes) return undefined;
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}
