import type { ByteSource } from "./byte-source.ts";
import { withFileSource } from "./byte-source.ts";
import type { ReadProgress } from "./cursor.ts";
import { Cursor, NeedMoreBytes } from "./cursor.ts";
import { GgufError } from "./gguf-error.ts";
import type { GgufHeader } from "./gguf-header.ts";
import { HeaderParser } from "./parse-header.ts";
import { limits } from "./limits.ts";

/** Enough for a shard without a vocabulary; for other files the reader then guesses the size of the header. */
const firstWindowBytes = 2 ** 17;

/**
 * Large enough for nearly every header, which then is never copied. Memory that is reserved but never written costs
 * nothing.
 */
const standardBytes = 16 * 2 ** 20;

/**
 * A window grows by at least a quarter, so that a header of tiny pieces does not need as many reads. It also gets a
 * quarter more than the guessed end of a vocabulary, for the keys after it.
 */
const growth = 1.25;

/**
 * Reads a GGUF header; tensor data is never touched.
 * @param path One file, or one shard of a set.
 * @param mostBytes The rest of the limit that several headers share.
 * @returns Metadata by key; tensor shapes in elements, ggml order (`ne[0]` first); `dataOffset` in bytes.
 * @throws GgufError `not-gguf`, `truncated`, `unsupported-version`, `limit-exceeded`, `file-missing` or
 *   `file-unreadable`.
 * @see ggml docs/gguf.md, format version 3
 */
export function readHeader(path: string, mostBytes?: number): Promise<GgufHeader> {
  return withFileSource(path, (source) => readHeaderFrom(source, mostBytes));
}

/** {@link readHeader} for an open source. */
export async function readHeaderFrom(source: ByteSource, mostBytes: number = limits.headerBytes): Promise<GgufHeader> {
  const reading: Reading = { source, parser: new HeaderParser(), progress: new Map() };
  const most = Math.min(mostBytes, limits.headerBytes);
  let buffer = new Uint8Array(Math.min(source.sizeBytes, standardBytes));
  let have = 0;
  let end = Math.min(source.sizeBytes, firstWindowBytes);
  for (;;) {
    if (end > buffer.length) {
      // Straight to the limit: each smaller step would be copied, and parsed from the start.
      buffer = enlarge(buffer, Math.min(source.sizeBytes, limits.headerBytes));
      reading.parser.restart();
    }
    await source.read(have, buffer.subarray(have, end));
    have = end;
    const parsed = tryParse(reading, buffer.subarray(0, have));
    if ("header" in parsed) return parsed.header;
    if (parsed.needed.end > most) throw tooLarge(source, most);
    end = Math.min(nextEnd(parsed.needed, have, source.sizeBytes), most);
  }
}

function tooLarge({ name }: ByteSource, most: number): GgufError {
  const what = most === limits.headerBytes ? "a header" : "a header that exceeds the limit of its set: it is one";
  return new GgufError("limit-exceeded", `${name} has ${what} of more than ${most} bytes`);
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

interface Reading {
  readonly source: ByteSource;
  readonly parser: HeaderParser;
  readonly progress: ReadProgress;
}

function tryParse(
  { source: { name, sizeBytes }, parser, progress }: Reading,
  bytes: Uint8Array,
): { header: GgufHeader } | { needed: NeedMoreBytes } {
  try {
    return { header: parser.parse(new Cursor({ name, sizeBytes, bytes, progress, budget: limits })) };
  } catch (error) {
    if (error instanceof NeedMoreBytes) return { needed: error };
    throw error;
  }
}
