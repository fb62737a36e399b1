import { constants } from "node:fs";
import { open } from "node:fs/promises";

/**
 * Text of a file that others may have put there, links followed: a pipe would keep a reader waiting for ever, and a huge file, or one such as
 * `/dev/zero`, would fill its memory.
 * @returns undefined where it is no regular file, or has more than `mostBytes`.
 * @throws the system's error.
 */
export async function readBounded(path: string, mostBytes: number): Promise<string | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const info = await file.stat();
    if (!info.isFile() || info.size > mostBytes) return undefined;
    // One more than it may be: it may grow while it is read, and files of /proc say that they are empty.
    const buffer = Buffer.allocUnsafe(Math.min(mostBytes, Math.max(info.size, procBytes)) + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = (await file.read(buffer, length, buffer.length - length, null)).bytesRead;
    }
    return length === buffer.length ? undefined : buffer.toString("utf8", 0, length);
  } finally {
    await file.close();
  }
}

const procBytes = 4096;

/**
 * All of a body that others send.
 * @returns undefined as soon as it is longer than `mostBytes`, without waiting for its end; the source is then let go of.
 */
export async function collectBounded(chunks: AsyncIterable<Uint8Array>, mostBytes: number): Promise<Buffer | undefined> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > mostBytes) return undefined;
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}
