import { describe, expect, test } from "vitest";
import { bufferSource } from "../../../src/gguf/byte-source.ts";
import { limits } from "../../../src/gguf/limits.ts";
import { findArray, findBoolean, findInteger, findText } from "../../../src/gguf/metadata.ts";
import { readHeaderFrom } from "../../../src/gguf/read-header.ts";
import { buildGguf } from "../../support/gguf-builder.ts";

const header = await readHeaderFrom(
  bufferSource(
    buildGguf({
      metadata: {
        text: "x",
        long: "x".repeat(limits.valueBytes + 1),
        small: { type: "int8", value: -3 },
        zero: 0,
        wide: { type: "uint64", value: 2n ** 53n - 1n },
        wider: { type: "uint64", value: 2n ** 53n },
        whole: { type: "float32", value: 4 },
        half: { type: "float32", value: 0.5 },
        yes: true,
        no: false,
        list: ["a"],
      },
    }),
    "m.gguf",
  ),
);

test("a text is found under its key, and nothing else", () => {
  expect(findText(header, "text")).toBe("x");
  for (const key of ["gone", "zero", "yes", "list"]) expect(findText(header, key)).toBeUndefined();
});

test("a text that is too long to decode is refused with its size", () => {
  expect(() => findText(header, "long")).toThrow(
    expect.objectContaining({
      code: "limit-exceeded",
      message: `m.gguf has ${limits.valueBytes + 1} bytes of text in long, more than ${limits.valueBytes}`,
    }),
  );
});

describe("an integer", () => {
  test.each([
    ["small", -3],
    ["zero", 0],
    ["wide", 2 ** 53 - 1],
    ["whole", 4],
    ["wider", undefined],
    ["half", undefined],
    ["text", undefined],
    ["yes", undefined],
    ["list", undefined],
    ["gone", undefined],
  ])("under %s is %s", (key, value) => {
    expect(findInteger(header, key)).toBe(value);
  });
});

test("a boolean is no number and no text", () => {
  expect(["yes", "no", "zero", "text", "gone"].map((key) => findBoolean(header, key))).toEqual([
    true,
    false,
    undefined,
    undefined,
    undefined,
  ]);
});

test("an array stays undecoded", () => {
  expect(findArray(header, "list")).toMatchObject({ elementType: "string", count: 1 });
  expect(findArray(header, "text")).toBeUndefined();
  expect(findArray(header, "gone")).toBeUndefined();
});
