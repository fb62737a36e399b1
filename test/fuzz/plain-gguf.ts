import { findGgmlType } from "../../src/gguf/ggml-types.ts";

/** A header with every value decoded; only arrays in arrays stay bytes. */
export interface PlainGguf {
  readonly version: number;
  readonly byteOrder: "little" | "big";
  readonly metadata: readonly (readonly [key: string, type: string, value: unknown])[];
  readonly tensors: readonly {
    readonly name: string;
    readonly ne: readonly number[];
    readonly type: number;
    readonly offset: number;
  }[];
  readonly dataOffset: number;
}

/** By their numbers in the file, as in ggml docs/gguf.md. */
const types = "uint8 int8 uint16 int16 uint32 int32 float32 bool string array uint64 int64 float64".split(" ");

const sizes: Readonly<Record<string, number>> = Object.fromEntries(
  types.map((type) => [type, Number(/\d+/.exec(type)) / 8]),
);

const mostNesting = 4;
const mostDimensions = 4;

/**
 * Reads a small GGUF file in the plainest way, to compare the reader of llmctl with: the whole file is in memory, each
 * length is a bigint, and each value is decoded at once.
 * @returns undefined for a file that must be refused.
 */
export function readPlainGguf(bytes: Buffer): PlainGguf | undefined {
  try {
    return new PlainReader(bytes).read();
  } catch (error) {
    if (error === refusal) return undefined;
    throw error;
  }
}

class PlainReader {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  #at = 0;
  #little = true;
  #version = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  read(): PlainGguf {
    if (this.#slice(4).toString("latin1") !== "GGUF") refuse();
    this.#little = (this.#u32() & 0xffff) !== 0;
    this.#at = 4;
    this.#version = this.#u32();
    if (![1, 2, 3].includes(this.#version)) refuse();
    const [tensorCount, keyCount] = [this.#count(), this.#count()];
    const metadata = this.#list(keyCount, () => this.#entry());
    if (new Set(metadata.map(([key]) => key)).size < metadata.length) refuse();
    const tensors = this.#list(tensorCount, () => this.#tensor());
    if (new Set(tensors.map(({ name }) => name)).size < tensors.length) refuse();
    const alignment = findAlignment(metadata);
    const dataOffset = tensors.length === 0 ? this.#at : this.#at + ((alignment - (this.#at % alignment)) % alignment);
    const ends = tensors.map(({ offset, ne, type }) => dataOffset + offset + countBytes(ne, type));
    if (Math.max(tensors.length === 0 ? 0 : dataOffset, ...ends) > this.#bytes.length) refuse();
    const byteOrder = this.#little ? "little" : "big";
    return { version: this.#version, byteOrder, metadata, tensors, dataOffset };
  }

  #entry(): readonly [string, string, unknown] {
    const key = this.#text();
    if (key === "") refuse();
    const type = this.#type();
    return [key, type, this.#value(type, 0)];
  }

  #value(type: string, depth: number): unknown {
    if (type === "string") return this.#text();
    if (type === "array") return this.#array(depth + 1);
    if (type === "bool") return this.#number("uint8", 1) !== 0;
    return this.#number(type, sizes[type] ?? 0);
  }

  #array(depth: number): unknown {
    if (depth > mostNesting) refuse();
    const elementType = this.#type();
    const count = this.#count();
    const start = this.#at;
    const values = this.#list(count, () => this.#value(elementType, depth));
    return {
      elementType,
      values: elementType === "array" ? Buffer.from(this.#bytes.subarray(start, this.#at)) : values,
    };
  }

  #tensor(): PlainGguf["tensors"][number] {
    const name = this.#text();
    const dimensions = this.#u32();
    if (dimensions > mostDimensions) refuse();
    const ne = this.#list(dimensions, () => Number(this.#length()));
    const type = this.#u32();
    return { name, ne, type, offset: Number(this.#number("uint64", 8)) };
  }

  #list<T>(count: number, read: () => T): T[] {
    return Array.from({ length: count }, read);
  }

  #type(): string {
    return types[this.#u32()] ?? refuse();
  }

  #text(): string {
    return this.#slice(this.#count()).toString("utf8");
  }

  /** A number of bytes, or of things that take at least one each. */
  #count(): number {
    const count = this.#length();
    if (count > BigInt(this.#bytes.length - this.#at)) refuse();
    return Number(count);
  }

  #length(): bigint {
    return this.#version === 1 ? BigInt(this.#u32()) : BigInt(this.#number("uint64", 8));
  }

  #u32(): number {
    return Number(this.#number("uint32", 4));
  }

  #number(type: string, sizeBytes: number): number | bigint {
    const at = this.#at;
    this.#at += sizeBytes;
    if (this.#at > this.#bytes.length) refuse();
    const little = this.#little;
    switch (type) {
      case "uint8":
        return this.#view.getUint8(at);
      case "int8":
        return this.#view.getInt8(at);
      case "uint16":
        return this.#view.getUint16(at, little);
      case "int16":
        return this.#view.getInt16(at, little);
      case "uint32":
        return this.#view.getUint32(at, little);
      case "int32":
        return this.#view.getInt32(at, little);
      case "float32":
        return this.#view.getFloat32(at, little);
      case "float64":
        return this.#view.getFloat64(at, little);
      case "uint64":
        return this.#view.getBigUint64(at, little);
      default:
        return this.#view.getBigInt64(at, little);
    }
  }

  #slice(count: number): Buffer {
    if (this.#at + count > this.#bytes.length) refuse();
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }
}

/** Made once: most inputs are refused, and a stack costs more than the rest. */
const refusal = new RangeError("the file must be refused");

function refuse(): never {
  throw refusal;
}

function findAlignment(metadata: PlainGguf["metadata"]): number {
  const [, type, value] = metadata.find(([key]) => key === "general.alignment") ?? ["", "uint32", 32];
  if (type !== "uint32" || typeof value !== "number" || !Number.isInteger(Math.log2(value))) return refuse();
  return value;
}

/** A type that the table lacks counts with no bytes. */
function countBytes(ne: readonly number[], type: number): number {
  const elements = ne.reduce((product, length) => product * BigInt(length), 1n);
  if (elements > 2n ** 53n - 1n) refuse();
  const known = findGgmlType(type);
  if (known === undefined) return 0;
  if ((ne[0] ?? 1) % known.block !== 0) refuse();
  return (Number(elements) / known.block) * known.bytes;
}
