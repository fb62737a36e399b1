import type { bigintTypes, GgufArray, numberTypes } from "./gguf-array.ts";

/** One metadata value with its type in the file. 64-bit integers are bigint; arrays stay undecoded. */
export type GgufValue =
  | { readonly type: keyof typeof numberTypes; readonly value: number }
  | { readonly type: keyof typeof bigintTypes; readonly value: bigint }
  | { readonly type: "bool"; readonly value: boolean }
  /**
   * `undecodedBytes`: size of a text that is longer than any that llmctl needs. It stays undecoded, with an empty
   * value, because in memory it could take twice its bytes.
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
  /** The path or address of the file. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly version: 1 | 2 | 3;
  readonly byteOrder: "little" | "big";
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: readonly TensorInfo[];
  /** Where tensor data starts, in bytes; also the length of the header with its padding. */
  readonly dataOffset: number;
}

/** Elements of a tensor; beyond 2^53 the number is not exact. */
export function countElements(tensor: TensorInfo): number {
  return tensor.ne.reduce((product, length) => product * length, 1);
}
