import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bufferSource } from "../../src/gguf/byte-source.ts";
import { decodeNumbers, decodeTexts, elementTypes } from "../../src/gguf/gguf-array.ts";
import type { ElementType, GgufArray } from "../../src/gguf/gguf-array.ts";
import type { GgufHeader, GgufValue } from "../../src/gguf/gguf-header.ts";
import { readHeaderFrom } from "../../src/gguf/read-header.ts";
import type { GgufModel } from "../../src/gguf/read-model.ts";

/** A value with its type in the file. Elements of a nested array are arrays themselves. */
export type TypedPart =
  | { readonly type: Exclude<ElementType, "array" | "bool" | "string">; readonly value: number | bigint }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string }
  | ArrayPart;

interface ArrayPart {
  readonly type: "array";
  readonly elementType: ElementType;
  readonly values: readonly (number | bigint | boolean | string | ArrayPart)[];
}

/** A plain number is a uint32, an array of numbers int32, as llama.cpp expects of most keys. */
export type Part = TypedPart | number | string | boolean | readonly string[] | readonly number[];

export interface TensorPart {
  readonly name: string;
  readonly ne: readonly number[];
  /** ggml type; 0 is F32. */
  readonly type?: number;
  /** Its data; zeros for an F32 tensor when absent. */
  readonly data?: Uint8Array;
}

export interface GgufParts {
  readonly version?: number;
  readonly byteOrder?: "little" | "big";
  /** An array of another file is copied unchanged; the files must have the same byte order and version. */
  readonly metadata?: Readonly<Record<string, Part | GgufArray>>;
  readonly tensors?: readonly TensorPart[];
}

/** Writes the bytes of a GGUF file. */
export function buildGguf(parts: GgufParts): Buffer {
  const tensors = (parts.tensors ?? []).map((tensor) => {
    const data = tensor.data ?? Buffer.alloc(4 * tensor.ne.reduce((product, length) => product * length, 1));
    return { ...tensor, data, sizeBytes: data.length };
  });
  const writer = new Writer("little", 3);
  writer.raw(buildGgufHeader({ ...parts, tensors }));
  for (const { data } of tensors) {
    writer.raw(data);
    writer.raw(Buffer.alloc(paddingOf(parts, data.length)));
  }
  return writer.bytes();
}

/**
 * Writes what comes before the data of the tensors. Each tensor is then followed by {@link paddingOf} zeros: a file
 * that does not fit into memory is written piece by piece.
 */
export function buildGgufHeader(parts: GgufParts & { readonly tensors: readonly SizedTensor[] }): Buffer {
  const writer = new Writer(parts.byteOrder ?? "little", parts.version ?? 3);
  const metadata = Object.entries(parts.metadata ?? {});
  const { tensors } = parts;
  writer.raw(Buffer.from("GGUF"));
  writer.scalar("uint32", parts.version ?? 3);
  writer.length(tensors.length);
  writer.length(metadata.length);
  for (const [key, value] of metadata) {
    writer.text(key);
    writer.value(toTyped(value));
  }
  let offset = 0;
  for (const tensor of tensors) {
    writeTensorInfo(writer, tensor, offset);
    offset += tensor.sizeBytes + paddingOf(parts, tensor.sizeBytes);
  }
  if (tensors.length > 0) writer.raw(Buffer.alloc(paddingOf(parts, writer.size)));
  return writer.bytes();
}

type SizedTensor = TensorPart & { readonly sizeBytes: number };

/** Number of zeros after so many bytes of the header, or of a tensor. */
export function paddingOf({ metadata }: Pick<GgufParts, "metadata">, sizeBytes: number): number {
  const alignment = Number(metadata?.["general.alignment"] ?? 32);
  return (alignment - (sizeBytes % alignment)) % alignment;
}

function writeTensorInfo(writer: Writer, tensor: TensorPart, offset: number): void {
  writer.text(tensor.name);
  writer.scalar("uint32", tensor.ne.length);
  for (const length of tensor.ne) writer.length(length);
  writer.scalar("uint32", tensor.type ?? 0);
  writer.scalar("uint64", offset);
}

function toTyped(part: Part | GgufArray): TypedPart | GgufArray {
  if (typeof part === "string") return { type: "string", value: part };
  if (typeof part === "boolean") return { type: "bool", value: part };
  if (typeof part === "number") return { type: "uint32", value: part };
  if ("type" in part) return part;
  return { type: "array", elementType: typeof part[0] === "number" ? "int32" : "string", values: part };
}

/** Numbers of each type, written at a place of the buffer. */
const scalarWriters: Readonly<
  Record<
    Exclude<ElementType, "string" | "array">,
    (view: DataView, at: number, value: number | bigint, little: boolean) => number
  >
> = {
  uint8: (view, at, value) => (view.setUint8(at, Number(value)), 1),
  bool: (view, at, value) => (view.setUint8(at, Number(value)), 1),
  int8: (view, at, value) => (view.setInt8(at, Number(value)), 1),
  uint16: (view, at, value, little) => (view.setUint16(at, Number(value), little), 2),
  int16: (view, at, value, little) => (view.setInt16(at, Number(value), little), 2),
  uint32: (view, at, value, little) => (view.setUint32(at, Number(value), little), 4),
  int32: (view, at, value, little) => (view.setInt32(at, Number(value), little), 4),
  float32: (view, at, value, little) => (view.setFloat32(at, Number(value), little), 4),
  float64: (view, at, value, little) => (view.setFloat64(at, Number(value), little), 8),
  uint64: (view, at, value, little) => (view.setBigUint64(at, BigInt(value), little), 8),
  int64: (view, at, value, little) => (view.setBigInt64(at, BigInt(value), little), 8),
};

/** Writes into one buffer that grows: some tests write hundreds of thousands of strings. */
class Writer {
  size = 0;
  #buffer = Buffer.alloc(1024);
  #view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset);
  readonly #little: boolean;
  readonly #lengthType: "uint32" | "uint64";

  constructor(byteOrder: "little" | "big", version: number) {
    this.#little = byteOrder === "little";
    this.#lengthType = version === 1 ? "uint32" : "uint64";
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.size);
    this.size += bytes.length;
  }

  length(value: number): void {
    this.scalar(this.#lengthType, value);
  }

  text(text: string): void {
    const sizeBytes = Buffer.byteLength(text);
    this.length(sizeBytes);
    this.#reserve(sizeBytes);
    this.size += this.#buffer.write(text, this.size);
  }

  value(part: TypedPart | GgufArray): void {
    this.scalar("uint32", elementTypes.indexOf(part.type));
    if (part.type === "array") this.array(part);
    else this.element(part.type, part.value);
  }

  array(part: ArrayPart | GgufArray): void {
    this.scalar("uint32", elementTypes.indexOf(part.elementType));
    if ("bytes" in part) {
      this.length(part.count);
      this.raw(part.bytes);
      return;
    }
    this.length(part.values.length);
    for (const value of part.values) this.element(part.elementType, value);
  }

  element(type: ElementType, value: number | bigint | boolean | string | ArrayPart): void {
    if (typeof value === "object") this.array(value);
    else if (typeof value === "string") this.text(value);
    else this.scalar(type, typeof value === "boolean" ? Number(value) : value);
  }

  scalar(type: ElementType, value: number | bigint): void {
    if (type === "string" || type === "array") throw new Error(`a ${type} is not a scalar`);
    this.#reserve(8);
    this.size += scalarWriters[type](this.#view, this.size, value, this.#little);
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.size);
  }

  #reserve(count: number): void {
    if (this.size + count <= this.#buffer.length) return;
    const larger = Buffer.alloc(2 * (this.size + count));
    larger.set(this.#buffer.subarray(0, this.size));
    this.#buffer = larger;
    this.#view = new DataView(larger.buffer, larger.byteOffset);
  }
}

/** Reads bytes in memory as a model of one file. */
export async function modelFrom(parts: GgufParts | Uint8Array, name = "model.gguf"): Promise<GgufModel> {
  const header = await readHeaderFrom(bufferSource(parts instanceof Uint8Array ? parts : buildGguf(parts), name));
  return { header, shards: [header] };
}

/**
 * The same file with other metadata; tensor data is kept byte by byte. Arrays of 64-bit integers and nested ones are
 * left out.
 */
export async function editGguf(bytes: Buffer, edit: (metadata: Record<string, Part>) => void): Promise<Buffer> {
  const parts = await readParts(bytes);
  edit(parts.metadata);
  return buildGguf(parts);
}

/** Takes a file apart; arrays of 64-bit integers and nested ones are left out. The tensor data is a view of `bytes`. */
export async function readParts(
  bytes: Uint8Array,
): Promise<GgufParts & { readonly metadata: Record<string, Part>; readonly tensors: readonly TensorPart[] }> {
  const header = await readHeaderFrom(bufferSource(bytes, "original.gguf"));
  const { byteOrder, version } = header;
  return { byteOrder, version, metadata: readMetadata(header), tensors: tensorParts(header, bytes) };
}

/** Arrays of 64-bit integers and nested ones are left out. */
export function readMetadata(header: GgufHeader): Record<string, Part> {
  const metadata: Record<string, Part> = {};
  for (const [key, value] of header.metadata) {
    const part = toPart(value);
    if (part !== undefined) metadata[key] = part;
  }
  return metadata;
}

function toPart(value: GgufValue): Part | undefined {
  if (value.type !== "array") return value;
  const values = value.elementType === "string" ? decodeTexts(value) : decodeNumbers(value);
  return values === undefined ? undefined : { type: "array", elementType: value.elementType, values };
}

function tensorParts(header: GgufHeader, bytes: Uint8Array): TensorPart[] {
  return header.tensors.map((tensor) => {
    const later = header.tensors.map(({ offset }) => offset).filter((offset) => offset > tensor.offset);
    const end = Math.min(bytes.length - header.dataOffset, ...later);
    return { ...tensor, data: bytes.subarray(header.dataOffset + tensor.offset, header.dataOffset + end) };
  });
}

/**
 * Writes a split set as gguf-split does: all metadata in the first shard, tensors spread over all.
 * @returns the shards' paths
 */
export async function writeSplitSet(
  folder: string,
  prefix: string,
  parts: GgufParts,
  count: number,
): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const tensors = parts.tensors ?? [];
  const paths: string[] = [];
  for (let number = 0; number < count; number += 1) {
    const split = {
      "split.no": { type: "uint16", value: number },
      "split.count": { type: "uint16", value: count },
      "split.tensors.count": { type: "int32", value: tensors.length },
    } satisfies Record<string, Part>;
    const digits = (value: number) => String(value).padStart(5, "0");
    const path = join(folder, `${prefix}-${digits(number + 1)}-of-${digits(count)}.gguf`);
    const own = tensors.filter((_, index) => index % count === number);
    await writeFile(
      path,
      buildGguf({ ...parts, metadata: number === 0 ? { ...parts.metadata, ...split } : split, tensors: own }),
    );
    paths.push(path);
  }
  return paths;
}

/** Metadata of a small BPE model; `overrides` come last. */
export function modelKeys(overrides: Readonly<Record<string, Part>> = {}): Record<string, Part> {
  const tokens = Array.from({ length: 32 }, (_, id) => `token${id}`);
  return {
    "general.architecture": "llama",
    "general.name": "small",
    "llama.block_count": 2,
    "llama.context_length": 512,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "gpt-2",
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.token_type": tokens.map(() => 1),
    "tokenizer.ggml.merges": ["t o", "to k"],
    "tokenizer.ggml.bos_token_id": 0,
    "tokenizer.ggml.eos_token_id": 0,
    "tokenizer.ggml.eot_token_id": 2,
    ...overrides,
  };
}
