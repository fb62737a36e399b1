import type { KeyPath } from "./located.ts";

type PlainMap = Readonly<Record<string, unknown>>;

/**
 * The same edit on parsed values, which the editor compares its result with: a copy with the key set. Missing maps are
 * created. Undefined when an existing value cannot have such a key.
 */
export function withKey(plain: unknown, [key, ...rest]: KeyPath, value: unknown): unknown {
  if (key === undefined) return value;
  if (typeof key === "number") {
    if (!Array.isArray(plain) || key >= plain.length) return undefined;
    const item = withKey(plain[key], rest, value);
    return item === undefined ? undefined : plain.with(key, item);
  }
  if (plain !== undefined && plain !== null && !isPlainMap(plain)) return undefined;
  const inner = withKey(plain?.[key], rest, value);
  return inner === undefined ? undefined : { ...plain, [key]: inner };
}

/**
 * A copy without the key, and without the maps that this leaves empty, except the outermost. Undefined when the key
 * does not exist.
 */
export function withoutKey(plain: unknown, [key, ...rest]: KeyPath): PlainMap | undefined {
  if (typeof key !== "string" || !isPlainMap(plain) || !Object.hasOwn(plain, key)) return undefined;
  const { [key]: old, ...others } = plain;
  if (rest.length === 0) return others;
  const inner = withoutKey(old, rest);
  if (inner === undefined) return undefined;
  return Object.keys(inner).length === 0 ? others : { ...plain, [key]: inner };
}

function isPlainMap(value: unknown): value is PlainMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
