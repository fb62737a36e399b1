import type { Cursor } from "./cursor.ts";
import { findGgmlType } from "./ggml-types.ts";
import { bigintTypes, elementSize, elementTypes, numberTypes } from "./gguf-array.ts";
import type { ElementType, GgufArray } from "./gguf-array.ts";
import { GgufError } from "./gguf-error.ts";

/** One metadata value with its type in the file. 64-bit integers are bigint; arrays stay undecoded. */
export type GgufValue =
  | { readonly type: keyof typeof numberTypes; readonly value: number }
  | { readonly type: keyof typeof bigintTypes; readonly value: bigint }
  | { readonly type: "bool"; readonly value: boolean }
  /**
   * `undecodedBytes`: of a text that is longer than any that we ask for, and left empty. In memory it could take twice
   * its bytes.
   */
  | { readonly type: "string"; readonly value: string; readonly undecodedBytes?: number }
  | GgufArray;

export interface TensorInfo {
  readonly name: string;
  /** Elements along each dimension, ggml order (`ne[0]` is contiguous); missing dimensions are 1. */
  readonly ne: readonly number[];
  /** Number of its ggml type; `findGgmlType` knows the usual ones. */
  readonly type: number;
  /** Bytes from `dataOffset` on. */
  readonly offset: number;
}

export interface GgufHeader {
  /** The file it was read from: a path or address. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly version: 1 | 2 | 3;
  readonly byteOrder: "little" | "big";
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: readonly TensorInfo[];
  /** Where tensor data starts, in bytes; also the length of the header with its padding. */
  readonly dataOffset: number;
}

/**
 * Far above every known model (a vocabulary of 262,144 tokens makes a header of about 16 MB, the largest mixture of
 * experts has a few thousand tensors), and low enough that a hostile file takes less than a second and 200 MB.
 */
export const limits = {
  /** Stops a header that is as long as its file: all of it is held in memory. Those of real models have 5 to 20 MB. */
  headerBytes: 66 * 2 ** 20,
  /**
   * All shards of a set together: a set of thousands of files with large headers. The others of a real set have some
   * kilobytes each.
   */
  setBytes: 96 * 2 ** 20,
  /**
   * Stops millions of tiny keys and tensors, each of which becomes objects of some hundred bytes. Real models have 100
   * keys.
   */
  keys: 16_384,
  tensors: 65_536,
  /** All shards of a set together; the others have three each. */
  setKeys: 65_536,
  dimensions: 4,
  /** Stops recursion without end. No known key nests arrays at all. */
  nesting: 4,
  /** Stops arrays of empty arrays, which cost much more than their bytes. */
  innerArrays: 65_536,
  /**
   * Stops arrays of empty strings, over which the comparison of vocabularies walks. Real vocabularies have up to
   * 850,000, merges included.
   */
  strings: 2_000_000,
  /** The format's own. */
  keyBytes: 65_535,
  /** llama.cpp takes 63. */
  tensorNameBytes: 1024,
  /**
   * Stops names and templates of megabytes, which would be copied into each message and key. The longest chat templates
   * have 100 kB.
   */
  valueBytes: 2 ** 20,
  /** Of all texts that are decoded: two bytes in memory for one in the file. */
  textBytes: 8 * 2 ** 20,
} as const;

/**
 * Parses the header at the start of a file, of which more and more is there: what a window has shown whole is not
 * parsed again, so that the cost stays linear, however often a hostile header makes the window grow.
 * @see ggml docs/gguf.md, format versions 1 to 3
 */
export class HeaderParser {
  #metadata = new Map<string, GgufValue>();
  #tensors: TensorInfo[] = [];
  #tensorNames = new Set<string>();
  /** Where the first key or tensor starts that is not here yet. */
  #place: ReadPosition | undefined;

  /** For bytes at another place in memory: arrays are views into the old ones. */
  startAnew(): void {
    this.#metadata = new Map();
    this.#tensors = [];
    this.#tensorNames = new Set();
    this.#place = undefined;
  }

  /**
   * @throws NeedMoreBytes when the cursor's window ends too early; GgufError for everything that is wrong with the
   *   file.
   */
  parse(cursor: Cursor): GgufHeader {
    const { counts } = this.#goOn(cursor);
    // The least that can be written: a key is a length, one letter, a type and one byte; a tensor has no name and no
    // dimension.
    while (this.#metadata.size < counts.keys) this.#note(cursor, counts, () => parseEntry(cursor, this.#metadata));
    if (this.#tensors.length === 0)
      checkCount(cursor, "tensors", counts.tensors, limits.tensors, cursor.lengthBytes + 16);
    const alignment = findAlignment(cursor, this.#metadata);
    while (this.#tensors.length < counts.tensors) {
      this.#note(cursor, counts, () => this.#tensors.push(parseNewTensor(cursor, this.#tensorNames)));
    }
    return finishHeader(cursor, counts, { metadata: this.#metadata, tensors: this.#tensors, alignment });
  }

  #goOn(cursor: Cursor): ReadPosition {
    if (this.#place === undefined) {
      const counts = parseCounts(cursor);
      checkCount(cursor, "metadata keys", counts.keys, limits.keys, cursor.lengthBytes + 6);
      return (this.#place = placeOf(cursor, counts));
    }
    const { spent, ...place } = this.#place.cursor;
    Object.assign(cursor, place);
    Object.assign(cursor.spent, spent);
    return this.#place;
  }

  #note(cursor: Cursor, counts: Counts, parse: () => void): void {
    parse();
    this.#place = placeOf(cursor, counts);
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

function placeOf({ position, littleEndian, lengthBytes, spent }: Cursor, counts: Counts): ReadPosition {
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

/** Also sets how the cursor reads: the byte order shows in the version, and version 1 has 32-bit lengths. */
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

function parseEntry(cursor: Cursor, metadata: Map<string, GgufValue>): void {
  const start = cursor.position;
  const key = cursor.text("a metadata key", limits.keyBytes);
  if (key === "") throw broken(cursor, start, "a metadata key is empty");
  if (metadata.has(key)) throw broken(cursor, start, `the metadata key ${quote(key)} is there twice`);
  metadata.set(key, parseValue(cursor));
}

function parseValue(cursor: Cursor): GgufValue {
  const type = parseType(cursor);
  switch (type) {
    case "array":
      return parseArray(cursor);
    case "string":
      return parseText(cursor);
    case "bool":
      return { type, value: cursor.number(1, (view, at) => view.getUint8(at)) !== 0 };
    case "uint64":
    case "int64":
      return { type, value: cursor.number(8, bigintTypes[type].get) };
    default:
      return { type, value: cursor.number(numberTypes[type].size, numberTypes[type].get) };
  }
}

function parseText(cursor: Cursor): GgufValue {
  const sizeBytes = cursor.length();
  if (sizeBytes <= limits.valueBytes) return { type: "string", value: cursor.decode(sizeBytes) };
  cursor.take(sizeBytes);
  return { type: "string", value: "", undecodedBytes: sizeBytes };
}

function parseType(cursor: Cursor): ElementType {
  const start = cursor.position;
  const id = cursor.u32();
  const type = elementTypes[id];
  if (type === undefined) throw broken(cursor, start, `there is no value type ${id}`);
  return type;
}

function parseArray(cursor: Cursor): GgufArray {
  const elementType = parseType(cursor);
  const count = cursor.length();
  const start = cursor.position;
  skipElements(cursor, elementType, count, 1);
  return {
    type: "array",
    elementType,
    count,
    bytes: cursor.bytes.subarray(start, cursor.position),
    littleEndian: cursor.littleEndian,
    lengthBytes: cursor.lengthBytes,
  };
}

function skipElements(cursor: Cursor, type: ElementType, count: number, depth: number): void {
  const leastBytes = elementSize(type) ?? (type === "string" ? cursor.lengthBytes : 4 + cursor.lengthBytes);
  if (count * leastBytes > cursor.remaining) throw cursor.truncated(cursor.position + count * leastBytes);
  if (type === "string") {
    cursor.skipTexts(count);
  } else if (type !== "array") {
    cursor.take(count * leastBytes);
  } else {
    if (depth === limits.nesting)
      throw new GgufError("limit-exceeded", `${cursor.name} nests arrays more than ${limits.nesting} deep`);
    cursor.spend("innerArrays", count);
    for (let index = 0; index < count; index += 1) skipElements(cursor, parseType(cursor), cursor.length(), depth + 1);
  }
}

function findAlignment(cursor: Cursor, metadata: ReadonlyMap<string, GgufValue>): number {
  const value = metadata.get("general.alignment");
  if (value === undefined) return 32;
  if (value.type === "uint32" && value.value > 0 && (value.value & (value.value - 1)) === 0) return value.value;
  throw broken(cursor, cursor.position, "general.alignment is not a power of two");
}

function parseNewTensor(cursor: Cursor, names: Set<string>): TensorInfo {
  const start = cursor.position;
  const tensor = parseTensor(cursor);
  if (names.has(tensor.name)) throw broken(cursor, start, `the tensor ${quote(tensor.name)} is there twice`);
  names.add(tensor.name);
  return tensor;
}

function parseTensor(cursor: Cursor): TensorInfo {
  const name = cursor.text("a tensor's name", limits.tensorNameBytes);
  const dimensions = cursor.u32();
  if (dimensions > limits.dimensions) {
    throw new GgufError(
      "limit-exceeded",
      `${cursor.name} has a tensor with ${dimensions} dimensions, more than ${limits.dimensions}`,
    );
  }
  const ne: number[] = [];
  for (let index = 0; index < dimensions; index += 1) ne.push(cursor.length());
  const type = cursor.u32();
  return { name, ne, type, offset: cursor.u64() };
}

/** Elements of a tensor; beyond 2^53 the number is not exact. */
export function countElements(tensor: TensorInfo): number {
  return tensor.ne.reduce((product, length) => product * length, 1);
}

/** Holds all tensor data against the file's size. A type that is not in the table counts with no bytes. */
function checkTensorData(header: GgufHeader): void {
  let end = header.tensors.length === 0 ? 0 : header.dataOffset;
  for (const tensor of header.tensors)
    end = Math.max(end, header.dataOffset + tensor.offset + tensorBytes(header, tensor));
  if (end <= header.sizeBytes) return;
  throw new GgufError(
    "truncated",
    `${header.name} is truncated: tensor data runs to byte ${end}, the file has ${header.sizeBytes}`,
    {
      fix: "download the file again",
    },
  );
}

function tensorBytes(header: GgufHeader, tensor: TensorInfo): number {
  const elements = countElements(tensor);
  if (!Number.isSafeInteger(elements) || !Number.isSafeInteger(tensor.offset)) {
    throw new GgufError(
      "limit-exceeded",
      `${header.name} claims a size above 2^53 for the tensor ${quote(tensor.name)}`,
    );
  }
  const type = findGgmlType(tensor.type);
  if (type === undefined) return 0;
  if ((tensor.ne[0] ?? 1) % type.block === 0) return (elements / type.block) * type.bytes;
  const rule = `rows of ${tensor.ne[0]} elements, ${type.name} needs a multiple of ${type.block}`;
  throw new GgufError(
    "not-gguf",
    `${header.name} is not a valid GGUF file: the tensor ${quote(tensor.name)} has ${rule}`,
  );
}

/** For a message, which shall not be as long as a hostile name. */
function quote(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}

function broken(cursor: Cursor, at: number, why: string): GgufError {
  return new GgufError("not-gguf", `${cursor.name} is not a valid GGUF file: ${why} (byte ${at})`);
}
