import type { GgufArray } from "./gguf-array.ts";
import { GgufError } from "./gguf-error.ts";
import { limits } from "./limits.ts";
import type { GgufHeader } from "./gguf-header.ts";

/**
 * A string value; undefined when the key is absent or has another type.
 * @throws GgufError `limit-exceeded` for a string that is too long to decode.
 */
export function findText(header: GgufHeader, key: string): string | undefined {
  const value = header.metadata.get(key);
  if (value?.type !== "string") return undefined;
  const { undecodedBytes } = value;
  if (undecodedBytes !== undefined) {
    throw new GgufError(
      "limit-exceeded",
      `${header.name} has ${undecodedBytes} bytes of text in ${key}, more than ${limits.valueBytes}`,
    );
  }
  return value.value;
}

/** An integer of any width; undefined when the key is absent, not an integer, or beyond 2^53. */
export function findInteger(header: GgufHeader, key: string): number | undefined {
  const value = header.metadata.get(key);
  if (value === undefined || value.type === "array" || value.type === "bool" || value.type === "string")
    return undefined;
  const number = Number(value.value);
  return Number.isSafeInteger(number) ? number : undefined;
}

export function findBoolean(header: GgufHeader, key: string): boolean | undefined {
  const value = header.metadata.get(key);
  return value?.type === "bool" ? value.value : undefined;
}

/** An array, still undecoded; undefined when the key is absent or holds one value. */
export function findArray(header: GgufHeader, key: string): GgufArray | undefined {
  const value = header.metadata.get(key);
  return value?.type === "array" ? value : undefined;
}
