/** A metadata array as it is in the file. Elements are decoded only on demand. */
export interface GgufArray {
  readonly type: "array";
  readonly elementType: ElementType;
  readonly count: number;
  /** The elements' bytes, a view into the header that was read. */
  readonly bytes: Uint8Array;
  readonly littleEndian: boolean;
  /** Width of the length before each string. */
  readonly lengthBytes: 4 | 8;
}

/** The value types of GGUF, in the order of their numbers in the file. */
export const elementTypes = [
  "uint8",
  "int8",
  "uint16",
  "int16",
  "uint32",
  "int32",
  "float32",
  "bool",
  "string",
  "array",
  "uint64",
  "int64",
  "float64",
] as const;

export type ElementType = (typeof elementTypes)[number];

type NumberType = Exclude<ElementType, "bool" | "string" | "array" | "uint64" | "int64">;

interface Fixed<T> {
  readonly size: number;
  readonly get: (view: DataView, at: number, littleEndian: boolean) => T;
}

/** Readers of the numbers that fit a JavaScript number. */
export const numberTypes: Readonly<Record<NumberType, Fixed<number>>> = {
  uint8: { size: 1, get: (view, at) => view.getUint8(at) },
  int8: { size: 1, get: (view, at) => view.getInt8(at) },
  uint16: { size: 2, get: (view, at, little) => view.getUint16(at, little) },
  int16: { size: 2, get: (view, at, little) => view.getInt16(at, little) },
  uint32: { size: 4, get: (view, at, little) => view.getUint32(at, little) },
  int32: { size: 4, get: (view, at, little) => view.getInt32(at, little) },
  float32: { size: 4, get: (view, at, little) => view.getFloat32(at, little) },
  float64: { size: 8, get: (view, at, little) => view.getFloat64(at, little) },
};

/** Readers of 64-bit integers. */
export const bigintTypes: Readonly<Record<"uint64" | "int64", Fixed<bigint>>> = {
  uint64: { size: 8, get: (view, at, little) => view.getBigUint64(at, little) },
  int64: { size: 8, get: (view, at, little) => view.getBigInt64(at, little) },
};

/** Bytes of one element, or undefined when elements differ in size. */
export function elementSize(type: ElementType): number | undefined {
  if (type === "string" || type === "array") return undefined;
  if (type === "bool") return 1;
  return type === "uint64" || type === "int64" ? 8 : numberTypes[type].size;
}

/**
 * Decodes an array of numbers or booleans (as 0 and 1).
 * @param most Limit for an untrusted file: numbers take up to eight times as much memory as in the file.
 * @returns undefined when the elements are of another type, 64 bits wide, or more than `most`.
 */
export function decodeNumbers(array: GgufArray, most = Infinity): number[] | undefined {
  const { elementType, bytes, count } = array;
  if (count > most) return undefined;
  if (elementType === "bool") return Array.from(bytes, (byte) => (byte === 0 ? 0 : 1));
  if (elementType === "string" || elementType === "array" || elementType === "uint64" || elementType === "int64")
    return undefined;
  const { size, get } = numberTypes[elementType];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: array.count }, (_, index) => get(view, index * size, array.littleEndian));
}

/** Walks over the strings of an array without decoding or copying them. */
export class TextWalker {
  /** Where the current string starts and ends in the array's bytes. */
  start = 0;
  end = 0;
  readonly bytes: Uint8Array;
  readonly #array: GgufArray;
  readonly #view: DataView;
  #left: number;

  constructor(array: GgufArray) {
    this.bytes = array.bytes;
    this.#array = array;
    this.#view = new DataView(array.bytes.buffer, array.bytes.byteOffset, array.bytes.byteLength);
    this.#left = array.elementType === "string" ? array.count : 0;
  }

  /** Moves to the next string. @returns false after the last one. */
  next(): boolean {
    if (this.#left === 0) return false;
    this.#left -= 1;
    const { lengthBytes, littleEndian } = this.#array;
    // The upper half of a 64-bit length is 0: the parser has checked every string against the size of the file.
    const low = lengthBytes === 8 && !littleEndian ? this.end + 4 : this.end;
    this.start = this.end + lengthBytes;
    this.end = this.start + this.#view.getUint32(low, littleEndian);
    return true;
  }

  /** Whether the current strings of two walkers are equal. */
  isAt(other: TextWalker): boolean {
    const length = this.end - this.start;
    if (length !== other.end - other.start) return false;
    for (let index = 0; index < length; index += 1) {
      if (this.bytes[this.start + index] !== other.bytes[other.start + index]) return false;
    }
    return true;
  }

  text(): string {
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + this.start, this.end - this.start).toString("utf8");
  }
}

/** Decodes all strings; empty when the elements are not strings. */
export function decodeTexts(array: GgufArray): string[] {
  const walker = new TextWalker(array);
  const texts: string[] = [];
  while (walker.next()) texts.push(walker.text());
  return texts;
}

/**
 * Whether two arrays hold the same elements. Equal bytes are not decoded. Nested and 64-bit arrays with different
 * layouts count as different.
 */
export function sameElements(a: GgufArray, b: GgufArray): boolean {
  if (a.elementType !== b.elementType || a.count !== b.count) return false;
  if (sameLayout(a, b)) return Buffer.compare(a.bytes, b.bytes) === 0;
  if (a.elementType === "string") return sameTexts(a, b);
  return sameNumbers(a, b);
}

function sameNumbers(a: GgufArray, b: GgufArray): boolean {
  const { elementType } = a;
  if (elementType === "bool") return a.bytes.every((byte, index) => (byte === 0) === (b.bytes[index] === 0));
  if (elementType === "string" || elementType === "array" || elementType === "uint64" || elementType === "int64")
    return false;
  const { size, get } = numberTypes[elementType];
  const [left, right] = [a, b].map(({ bytes }) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)) as [
    DataView,
    DataView,
  ];
  for (let at = 0; at < left.byteLength; at += size) {
    if (get(left, at, a.littleEndian) !== get(right, at, b.littleEndian)) return false;
  }
  return true;
}

/** Whether equal bytes mean equal elements in both. */
export function sameLayout(a: GgufArray, b: GgufArray): boolean {
  return a.elementType === b.elementType && a.littleEndian === b.littleEndian && a.lengthBytes === b.lengthBytes;
}

function sameTexts(a: GgufArray, b: GgufArray): boolean {
  const [left, right] = [new TextWalker(a), new TextWalker(b)];
  while (left.next() && right.next()) {
    if (!left.isAt(right)) return false;
  }
  return true;
}
