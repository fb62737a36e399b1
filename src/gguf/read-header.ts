import type { ByteSource } from "./byte-source.ts";
import { withFileSource } from "./byte-source.ts";
import type { Progress } from "./cursor.ts";
import { Cursor, NeedMoreBytes } from "./cursor.ts";
import { GgufError } from "./gguf-error.ts";
import type { GgufHeader } from "./parse-header.ts";
import { limits, parseHeader } from "./parse-header.ts";

/** Enough for a shard without a vocabulary; the reader guesses the rest from what it finds there. */
const firstWindowBytes = 2 ** 17;

/** Large enough for nearly every header. Memory that is set aside but never written to costs nothing, and copying is saved. */
const standardBytes = 16 * 2 ** 20;

/**
 * A window grows by a quarter at least, so that a header of tiny pieces is not read in as many steps, and by a quarter more than a vocabulary
 * is guessed to need, for what follows it.
 */
const growth = 1.25;

/**
 * Reads a GGUF header; tensor data is never touched.
 * @param path One file, or one shard of a set.
 * @returns Metadata by key; tensor shapes in elements, ggml order (`ne[0]` first); `dataOffset` in bytes.
 * @throws GgufError `not-gguf`, `truncated`, `unsupported-version`, `limit-exceeded`, `file-missing` or `file-unreadable`.
 * @see ggml docs/gguf.md, format version 3
 */
export function readHeader(path: string): Promise<GgufHeader> {
  return withFileSource(path, readHeaderFrom);
}

/** {@link readHeader} for bytes that are already open, wherever they are. */
export async function readHeaderFrom(source: ByteSource): Promise<GgufHeader> {
  const progress: Progress = new Map();
  let buffer = new Uint8Array(Math.min(source.sizeBytes, standardBytes));
  let have = 0;
  let end = Math.min(source.sizeBytes, firstWindowBytes);
  for (;;) {
    if (end > buffer.length) buffer = enlarge(buffer, Math.min(source.sizeBytes, Math.max(end, 2 * buffer.length)));
    await source.read(have, buffer.subarray(have, end));
    have = end;
    const parsed = tryParse(source, buffer.subarray(0, have), progress);
    if ("header" in parsed) return parsed.header;
    if (parsed.needed.end > limits.headerBytes) {
      throw new GgufError("limit-exceeded", `${source.name} has a header of more than ${limits.headerBytes} bytes`);
    }
    end = nextEnd(parsed.needed, have, source.sizeBytes);
  }
}

function enlarge(buffer: Uint8Array, sizeBytes: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(sizeBytes);
  larger.set(buffer);
  return larger;
}

function nextEnd(needed: NeedMoreBytes, have: number, sizeBytes: number): number {
  const wanted = Math.max(needed.end, Math.ceil(Math.max(needed.likelyEnd, have) * growth));
  return Math.min(wanted, limits.headerBytes, sizeBytes);
}

function tryParse(source: ByteSource, bytes: Uint8Array, progress: Progress): { header: GgufHeader } | { needed: NeedMoreBytes } {
  try {
    return { header: parseHeader(new Cursor({ name: source.name, sizeBytes: source.sizeBytes, bytes, progress })) };
  } catch (error) {
    if (error instanceof NeedMoreBytes) return { needed: error };
    throw error;
  }
}
