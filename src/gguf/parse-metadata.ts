import type { Cursor } from "./cursor.ts";
import { bigintTypes, elementSize, elementTypes, numberTypes } from "./gguf-array.ts";
import type { ElementType, GgufArray } from "./gguf-array.ts";
import { GgufError, invalidFile, quoteName } from "./gguf-error.ts";
import type { GgufValue } from "./gguf-header.ts";
import { limits } from "./limits.ts";

/** Parses one key with its value, and adds it to the metadata. */
export function parseEntry(cursor: Cursor, metadata: Map<string, GgufValue>): void {
  const start = cursor.position;
  const key = cursor.text("a metadata key", limits.keyBytes);
  if (key === "") throw invalidFile(cursor.name, "a metadata key is empty", start);
  if (metadata.has(key)) throw invalidFile(cursor.name, `the metadata key ${quoteName(key)} is there twice`, start);
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
  if (type === undefined) throw invalidFile(cursor.name, `there is no value type ${id}`, start);
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
