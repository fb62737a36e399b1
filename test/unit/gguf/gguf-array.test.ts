import { describe, expect, test } from "vitest";
import {
  decodeNumbers,
  decodeTexts,
  elementSize,
  elementTypes,
  type ElementType,
  type GgufArray,
  sameElements,
  sameLayout,
  TextWalker,
} from "../../../src/gguf/gguf-array.ts";
import { findArray } from "../../../src/gguf/metadata.ts";
import { bufferSource } from "../../../src/gguf/byte-source.ts";
import { readHeaderFrom } from "../../../src/gguf/read-header.ts";
import { buildGguf, type GgufParts, type TypedPart } from "../../support/gguf-builder.ts";

type Values = Extract<TypedPart, { type: "array" }>["values"];
type Layout = Pick<GgufParts, "version" | "byteOrder">;

const layouts: readonly Layout[] = [
  { version: 3, byteOrder: "little" },
  { version: 3, byteOrder: "big" },
  { version: 1, byteOrder: "little" },
  { version: 1, byteOrder: "big" },
];

async function arrayOf(elementType: ElementType, values: Values, layout: Layout = {}): Promise<GgufArray> {
  const bytes = buildGguf({ ...layout, metadata: { list: { type: "array", elementType, values } } });
  const header = await readHeaderFrom(bufferSource(bytes, "m.gguf"));
  return findArray(header, "list") ?? expect.unreachable();
}

test("elements have the size of their type; strings and arrays differ in size", () => {
  expect(Object.fromEntries(elementTypes.map((type) => [type, elementSize(type)]))).toEqual({
    uint8: 1,
    int8: 1,
    uint16: 2,
    int16: 2,
    uint32: 4,
    int32: 4,
    float32: 4,
    bool: 1,
    string: undefined,
    array: undefined,
    uint64: 8,
    int64: 8,
    float64: 8,
  });
});

describe("numbers", () => {
  test.each([
    ["uint8", [0, 255]],
    ["int8", [-128, 127]],
    ["uint16", [1, 65_535]],
    ["int16", [-2, 258]],
    ["uint32", [1, 2 ** 32 - 1]],
    ["int32", [-3, 2 ** 31 - 1]],
    ["float32", [0.5, -2]],
    ["float64", [0.1, 1e300]],
  ] as const)("of %s are decoded in every layout", async (type, values) => {
    for (const layout of layouts) expect(decodeNumbers(await arrayOf(type, values, layout))).toEqual(values);
  });

  test("booleans are 0 and 1, and any other byte is true", async () => {
    expect(decodeNumbers(await arrayOf("bool", [true, false]))).toEqual([1, 0]);
    expect(decodeNumbers({ ...(await arrayOf("bool", [true, false])), bytes: Uint8Array.of(0, 7) })).toEqual([0, 1]);
  });

  test("up to a limit are decoded, more are not", async () => {
    for (const type of ["int32", "bool"] as const) {
      const array = await arrayOf(type, type === "bool" ? [true, true] : [1, 1]);
      expect(decodeNumbers(array, 2)).toEqual([1, 1]);
      expect(decodeNumbers(array, 1)).toBeUndefined();
    }
  });

  test("that are none, or 64 bits wide, are not decoded", async () => {
    const inner: Values = [{ type: "array", elementType: "uint8", values: [1] }];
    expect(decodeNumbers(await arrayOf("string", ["1"]))).toBeUndefined();
    expect(decodeNumbers(await arrayOf("array", inner))).toBeUndefined();
    expect(decodeNumbers(await arrayOf("uint64", [1n]))).toBeUndefined();
    expect(decodeNumbers(await arrayOf("int64", [1n]))).toBeUndefined();
  });
});

describe("texts", () => {
  const values = ["", "a", "é🦙", "x".repeat(300)];

  test("are decoded in every layout", async () => {
    for (const layout of layouts) expect(decodeTexts(await arrayOf("string", values, layout))).toEqual(values);
    expect(decodeTexts(await arrayOf("uint8", [1, 2]))).toEqual([]);
  });

  test("are walked over once, from the first to the last", async () => {
    const walker = new TextWalker(await arrayOf("string", ["ab", ""]));
    expect([walker.next(), walker.text(), walker.start, walker.end]).toEqual([true, "ab", 8, 10]);
    expect([walker.next(), walker.text(), walker.start, walker.end]).toEqual([true, "", 18, 18]);
    expect([walker.next(), walker.next()]).toEqual([false, false]);
  });

  test("of two arrays are compared where both walkers are", async () => {
    const walkers = async (one: string, other: string) => {
      const pair = [
        new TextWalker(await arrayOf("string", ["", one])),
        new TextWalker(await arrayOf("string", ["first", other], { version: 1, byteOrder: "big" })),
      ] as const;
      for (const walker of pair) {
        walker.next();
        walker.next();
      }
      return pair[0].isAt(pair[1]);
    };
    expect(await walkers("abc", "abc")).toBe(true);
    expect(await walkers("", "")).toBe(true);
    for (const other of ["abd", "xbc", "ab", "abcd", ""]) expect(await walkers("abc", other)).toBe(false);
  });
});

describe("the same elements", () => {
  const cases: readonly (readonly [ElementType, Values, readonly Values[]])[] = [
    ["string", ["a", "bc"], [["a", "bd"], ["x", "bc"], ["ab", "c"], ["a"], ["a", "bc", ""]]],
    ["int32", [1, -2], [[1, 2], [2, -2], [1]]],
    ["float64", [0.5, 1], [[0.5, 1.5]]],
    ["bool", [true, false], [[true, true], [false, false], [true]]],
  ];
  test.each(cases)("of %s: %j", async (type, values, others) => {
    for (const left of layouts) {
      for (const right of layouts) {
        const array = await arrayOf(type, values, left);
        expect(sameElements(array, await arrayOf(type, values, right))).toBe(true);
        for (const other of others) expect(sameElements(array, await arrayOf(type, other, right))).toBe(false);
      }
    }
  });

  test("are of one type", async () => {
    expect(sameElements(await arrayOf("int8", [1]), await arrayOf("uint8", [1]))).toBe(false);
    expect(sameElements(await arrayOf("int32", []), await arrayOf("uint32", []))).toBe(false);
  });

  test("any byte but 0 is true in both", async () => {
    const yes = { ...(await arrayOf("bool", [true])), bytes: Uint8Array.of(7) };
    expect(sameElements(yes, await arrayOf("bool", [true], { byteOrder: "big" }))).toBe(true);
    expect(sameElements(yes, await arrayOf("bool", [false], { byteOrder: "big" }))).toBe(false);
  });

  test("of 64 bits, and in arrays, are the same only in one layout", async () => {
    const inner: Values = [{ type: "array", elementType: "uint8", values: [1] }];
    for (const [type, values] of [
      ["uint64", [1n]],
      ["int64", [1n]],
      ["array", inner],
    ] as const) {
      const array = await arrayOf(type, values);
      expect(sameElements(array, await arrayOf(type, values))).toBe(true);
      expect(sameElements(array, await arrayOf(type, values, { byteOrder: "big" }))).toBe(false);
    }
  });

  test("a layout is the type, the byte order and the width of lengths", async () => {
    const array = await arrayOf("string", ["a"]);
    expect(sameLayout(array, await arrayOf("string", ["b", "c"]))).toBe(true);
    expect(sameLayout(array, await arrayOf("uint8", [1]))).toBe(false);
    expect(sameLayout(array, await arrayOf("string", ["a"], { byteOrder: "big" }))).toBe(false);
    expect(sameLayout(array, await arrayOf("string", ["a"], { version: 1 }))).toBe(false);
  });
});
