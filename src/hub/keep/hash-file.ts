import { open } from "node:fs/promises";
import { startHash } from "../download/running-digest.ts";

/** Large enough that hashing dominates, small enough for the processor's cache. */
const chunkBytes = 2 ** 20;

interface HashOptions {
  readonly signal: AbortSignal;
  /** Called with the number of bytes read so far. */
  readonly onBytes: (doneBytes: number) => void;
}

/**
 * The digest of a file's content. While it hashes one piece it reads the next.
 * @param like A digest of the wanted kind: 64 hex digits for sha256, 40 for git's blob id.
 * @throws the signal's reason when aborted, the system's error.
 */
export async function hashFile(path: string, like: string, { signal, onBytes }: HashOptions): Promise<string> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const hash = startHash({ digest: like, sizeBytes: size });
    const buffers = [Buffer.allocUnsafe(chunkBytes), Buffer.allocUnsafe(chunkBytes)] as const;
    const readAt = (offset: number, turn: number) => file.read(buffers[turn % 2 === 0 ? 0 : 1], 0, chunkBytes, offset);
    let doneBytes = 0;
    let pending = readAt(0, 0);
    for (let turn = 1; ; turn += 1) {
      const { bytesRead, buffer } = await pending;
      signal.throwIfAborted();
      if (bytesRead === 0) return hash.digest("hex");
      doneBytes += bytesRead;
      pending = readAt(doneBytes, turn);
      hash.update(buffer.subarray(0, bytesRead));
      onBytes(doneBytes);
    }
  } finally {
    await file.close();
  }
}
