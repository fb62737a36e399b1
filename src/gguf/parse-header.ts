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
  | { readonly type: "string"; readonly value: string }
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
 * experts has a few thousand tensors), and low enough that a hostile file costs little.
 */
export const limits = { headerBytes: 128 * 2 ** 20, keys: 16_384, tensors: 65_536, dimensions: 4, nesting: 4 } as const;

/**
 * Parses the header at the start of a file.
 * @throws NeedMoreBytes when the cursor's window ends too early; GgufError for everything that is wrong with the file.
 * @see ggml docs/gguf.md, format versions 1 to 3
 */
export function parseHeader(cursor: Cursor): GgufHeader {
  checkMagic(cursor);
  const version = parseVersion(cursor);
  const tensorCount = cursor.length();
  const keyCount = cursor.length();
  // The least that can be written: a key is a length, one letter, a type and one byte; a tensor has no name and no dimension.
  checkCount(cursor, "metadata keys", keyCount, limits.keys, cursor.lengthBytes + 6);
  const metadata = parseMetadata(cursor, keyCount);
  checkCount(cursor, "tensors", tensorCount, limits.tensors, cursor.lengthBytes + 16);
  const alignment = findAlignment(cursor, metadata);
  const tensors = parseTensors(cursor, tensorCount);
  const dataOffset = tensorCount === 0 ? cursor.position : Math.ceil(cursor.position / alignment) * alignment;
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
  throw new GgufError("not-gguf", `${cursor.name} is not a GGUF file: it starts with the bytes ${start.toString("hex")}, not "GGUF"`);
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
  if (count > limit) throw new GgufError("limit-exceeded", `${cursor.name} claims to have ${count} ${what}, more than ${limit}`);
  if (count * leastBytes > cursor.remaining) throw cursor.truncated(cursor.position + count * leastBytes);
}

function parseMetadata(cursor: Cursor, count: number): Map<string, GgufValue> {
  const metadata = new Map<string, GgufValue>();
  for (let index = 0; index < count; index += 1) {
    const start = cursor.position;
    const key = cursor.text();
    if (key === "") throw broken(cursor, start, "a metadata key is empty");
    if (metadata.has(key)) throw broken(cursor, start, `the metadata key ${JSON.stringify(key)} is there twice`);
    metadata.set(key, parseValue(cursor));
  }
  return metadata;
}

function parseValue(cursor: Cursor): GgufValue {
  const type = parseType(cursor);
  switch (type) {
    case "array":
      return parseArray(cursor);
    case "string":
      return { type, value: cursor.text() };
    case "bool":
      return { type, value: cursor.number(1, (view, at) => view.getUint8(at)) !== 0 };
    case "uint64":
    case "int64":
      return { type, value: cursor.number(8, bigintTypes[type].get) };
    default:
      return { type, value: cursor.number(numberTypes[type].size, numberTypes[type].get) };
  }
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
    if (depth === limits.nesting) throw new GgufError("limit-exceeded", `${cursor.name} nests arrays more than ${limits.nesting} deep`);
    for (let index = 0; index < count; index += 1) skipElements(cursor, parseType(cursor), cursor.length(), depth + 1);
  }
}

function findAlignment(cursor: Cursor, metadata: ReadonlyMap<string, GgufValue>): number {
  const value = metadata.get("general.alignment");
  if (value === undefined) return 32;
  if (value.type === "uint32" && value.value > 0 && (value.value & (value.value - 1)) === 0) return value.value;
  throw broken(cursor, cursor.position, "general.alignment is not a power of two");
}

function parseTensors(cursor: Cursor, count: number): TensorInfo[] {
  const names = new Set<string>();
  const tensors: TensorInfo[] = [];
  for (let index = 0; index < count; index += 1) {
    const start = cursor.position;
    const tensor = parseTensor(cursor);
    if (names.has(tensor.name)) throw broken(cursor, start, `the tensor ${JSON.stringify(tensor.name)} is there twice`);
    names.add(tensor.name);
    tensors.push(tensor);
  }
  return tensors;
}

function parseTensor(cursor: Cursor): TensorInfo {
  const name = cursor.text();
  const dimensions = cursor.u32();
  if (dimensions > limits.dimensions) {
    throw new GgufError("limit-exceeded", `${cursor.name} has a tensor with ${dimensions} dimensions, more than ${limits.dimensions}`);
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
  for (const tensor of header.tensors) end = Math.max(end, header.dataOffset + tensor.offset + tensorBytes(header, tensor));
  if (end <= header.sizeBytes) return;
  throw new GgufError("truncated", `${header.name} is truncated: tensor data runs to byte ${end}, the file has ${header.sizeBytes}`, {
    fix: "download the file again",
  });
}

function tensorBytes(header: GgufHeader, tensor: TensorInfo): number {
  const elements = countElements(tensor);
  if (!Number.isSafeInteger(elements) || !Number.isSafeInteger(tensor.offset)) {
    throw new GgufError("limit-exceeded", `${header.name} claims a size above 2^53 for the tensor ${JSON.stringify(tensor.name)}`);
  }
  const type = findGgmlType(tensor.type);
  if (type === undefined) return 0;
  if ((tensor.ne[0] ?? 1) % type.block === 0) return (elements / type.block) * type.bytes;
  const rule = `rows of ${tensor.ne[0]} elements, ${type.name} needs a multiple of ${type.block}`;
  throw new GgufError("not-gguf", `${header.name} is not a valid GGUF file: the tensor ${JSON.stringify(tensor.name)} has ${rule}`);
}

function broken(cursor: Cursor, at: number, why: string): GgufError {
  return new GgufError("not-gguf", `${cursor.name} is not a valid GGUF file: ${why} (byte ${at})`);
}
