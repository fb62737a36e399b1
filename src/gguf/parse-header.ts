import type { Cursor } from "./cursor.ts";
import { GgufError, invalidFile } from "./gguf-error.ts";
import type { GgufHeader, GgufValue, TensorInfo } from "./gguf-header.ts";
import { limits } from "./limits.ts";
import { parseEntry } from "./parse-metadata.ts";
import { checkTensorData, parseNewTensor } from "./parse-tensors.ts";

/**
 * Parses the header at the start of a file through a growing window. It resumes after the last complete key or tensor,
 * so that the cost stays linear, however often a hostile header makes the window grow.
 * @see ggml docs/gguf.md, format versions 1 to 3
 */
export class HeaderParser {
  #metadata = new Map<string, GgufValue>();
  #tensors: TensorInfo[] = [];
  #tensorNames = new Set<string>();
  /** The start of the first key or tensor that is not parsed yet. */
  #resumeAt: ReadPosition | undefined;

  /** Needed after the bytes have moved in memory: the parsed arrays are views into the old buffer. */
  restart(): void {
    this.#metadata = new Map();
    this.#tensors = [];
    this.#tensorNames = new Set();
    this.#resumeAt = undefined;
  }

  /**
   * @throws NeedMoreBytes when the cursor's window ends too early; GgufError for a file that is wrong.
   */
  parse(cursor: Cursor): GgufHeader {
    const { counts } = this.#resume(cursor);
    // The smallest key is a length, one letter, a type and one byte; the smallest tensor has no name and no dimension.
    while (this.#metadata.size < counts.keys) this.#note(cursor, counts, () => parseEntry(cursor, this.#metadata));
    if (this.#tensors.length === 0)
      checkCount(cursor, "tensors", counts.tensors, limits.tensors, cursor.lengthBytes + 16);
    const alignment = findAlignment(cursor, this.#metadata);
    while (this.#tensors.length < counts.tensors) {
      this.#note(cursor, counts, () => this.#tensors.push(parseNewTensor(cursor, this.#tensorNames)));
    }
    return finishHeader(cursor, counts, { metadata: this.#metadata, tensors: this.#tensors, alignment });
  }

  #resume(cursor: Cursor): ReadPosition {
    if (this.#resumeAt === undefined) {
      const counts = parseCounts(cursor);
      checkCount(cursor, "metadata keys", counts.keys, limits.keys, cursor.lengthBytes + 6);
      return (this.#resumeAt = positionOf(cursor, counts));
    }
    const { spent, ...position } = this.#resumeAt.cursor;
    Object.assign(cursor, position);
    Object.assign(cursor.spent, spent);
    return this.#resumeAt;
  }

  #note(cursor: Cursor, counts: Counts, parse: () => void): void {
    parse();
    this.#resumeAt = positionOf(cursor, counts);
  }
}

interface Counts {
  readonly version: 1 | 2 | 3;
  readonly keys: number;
  readonly tensors: number;
}

interface ReadPosition {
  readonly counts: Counts;
  readonly cursor: Pick<Cursor, "position" | "littleEndian" | "lengthBytes" | "spent">;
}

function positionOf({ position, littleEndian, lengthBytes, spent }: Cursor, counts: Counts): ReadPosition {
  return { counts, cursor: { position, littleEndian, lengthBytes, spent: { ...spent } } };
}

function parseCounts(cursor: Cursor): Counts {
  checkMagic(cursor);
  const version = parseVersion(cursor);
  const tensors = cursor.length();
  return { version, tensors, keys: cursor.length() };
}

interface Parts extends Pick<GgufHeader, "metadata" | "tensors"> {
  readonly alignment: number;
}

function finishHeader(cursor: Cursor, { version }: Counts, { metadata, tensors, alignment }: Parts): GgufHeader {
  const dataOffset = tensors.length === 0 ? cursor.position : Math.ceil(cursor.position / alignment) * alignment;
  const header: GgufHeader = {
    name: cursor.name,
    sizeBytes: cursor.sizeBytes,
    version,
    byteOrder: cursor.littleEndian ? "little" : "big",
    metadata,
    tensors,
    dataOffset,
  };
  checkTensorData(header);
  return header;
}

function checkMagic(cursor: Cursor): void {
  if (cursor.sizeBytes === 0) throw new GgufError("not-gguf", `${cursor.name} is empty`);
  const start = Buffer.from(cursor.take(Math.min(cursor.sizeBytes, 4)));
  if (start.toString("latin1") === "GGUF") return;
  if ("GGUF".startsWith(start.toString("latin1"))) throw cursor.truncated(24);
  if (start.toString("latin1") === "vers") {
    throw new GgufError("not-gguf", `${cursor.name} is not a GGUF file but text, perhaps a Git LFS pointer`, {
      fix: "download the file itself",
    });
  }
  throw new GgufError(
    "not-gguf",
    `${cursor.name} is not a GGUF file: it starts with the bytes ${start.toString("hex")}, not "GGUF"`,
  );
}

/** Also configures the cursor: the version shows the byte order, and version 1 has 32-bit lengths. */
function parseVersion(cursor: Cursor): 1 | 2 | 3 {
  const little = cursor.u32();
  cursor.littleEndian = (little & 0xffff) !== 0;
  const version = cursor.littleEndian
    ? little
    : Buffer.from([little & 255, (little >>> 8) & 255, (little >>> 16) & 255, little >>> 24]).readUInt32BE();
  if (version !== 1 && version !== 2 && version !== 3) {
    throw new GgufError("unsupported-version", `${cursor.name} has GGUF version ${version}, llmctl reads 1 to 3`);
  }
  cursor.lengthBytes = version === 1 ? 4 : 8;
  return version;
}

function checkCount(cursor: Cursor, what: string, count: number, limit: number, leastBytes: number): void {
  if (count > limit)
    throw new GgufError("limit-exceeded", `${cursor.name} claims to have ${count} ${what}, more than ${limit}`);
  if (count * leastBytes > cursor.remaining) throw cursor.truncated(cursor.position + count * leastBytes);
}

function findAlignment(cursor: Cursor, metadata: ReadonlyMap<string, GgufValue>): number {
  const value = metadata.get("general.alignment");
  if (value === undefined) return 32;
  if (value.type === "uint32" && value.value > 0 && (value.value & (value.value - 1)) === 0) return value.value;
  throw invalidFile(cursor.name, "general.alignment is not a power of two", cursor.position);
}
