import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/**
 * Reads the text of a file that somebody else may have placed; links are followed. A named pipe would block the reader
 * for ever, and a huge file, or `/dev/zero`, would fill its memory.
 * @returns undefined for what is not a regular file, and for a file larger than `mostBytes`.
 * @throws the system's error.
 */
export async function readBounded(path: string, mostBytes: number): Promise<string | undefined> {
  return (await readBoundedBytes(path, mostBytes))?.toString("utf8");
}

/** As {@link readBounded}, for a caller that looks at the bytes. */
export async function readBoundedBytes(path: string, mostBytes: number): Promise<Buffer | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const info = await file.stat();
    if (!info.isFile() || info.size > mostBytes) return undefined;
    // Files in /proc report size 0, and other files may grow while they are read: only reading to the end tells the
    // size.
    return await collectBounded(readChunks(file, Math.max(info.size, leastChunkBytes) + 1), mostBytes);
  } finally {
    await file.close();
  }
}

const leastChunkBytes = 16 << 10;

/**
 * Reads to the end of the file.
 * @param bytes Size of the first chunk, which holds the whole of a file that does not grow.
 */
async function* readChunks(file: FileHandle, bytes: number): AsyncGenerator<Uint8Array> {
  for (let size = bytes; ; size = leastChunkBytes) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(size), 0, size, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

/**
 * Collects a body from an untrusted sender.
 * @returns undefined as soon as it is longer than `mostBytes`; the source is then closed.
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
