import type { KeyPath } from "./located.ts";

type PlainMap = Readonly<Record<string, unknown>>;

/**
 * A copy with the key set, maps made where there are none; undefined where what is there already can have no such key.
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
 * A copy without the key, and without the maps that this leaves empty, but for the outermost; undefined when it has no
 * such key.
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
