import { describe, expect, test } from "vitest";
import { JsonLimitError, jsonLimits, parseJson } from "../../../../src/base/text/parse-json.ts";

const deep = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;

describe("foreign JSON", () => {
  test("is parsed as by JSON.parse", () => {
    const value = { a: [1, "x,y[[{", null, true], b: { '\\"': "\\" } };
    expect(parseJson(JSON.stringify(value))).toEqual(value);
    expect(() => parseJson("{")).toThrow(SyntaxError);
    expect(() => parseJson('"\\')).toThrow(SyntaxError);
  });

  test("may nest up to the limit", () => {
    expect(parseJson(deep(jsonLimits.depth))).toBeInstanceOf(Array);
    expect(() => parseJson(deep(jsonLimits.depth + 1))).toThrow(JsonLimitError);
    expect(() => parseJson("[".repeat(5_000_000))).toThrow(JsonLimitError);
    expect(() => parseJson('{"a":'.repeat(100_000))).toThrow(JsonLimitError);
  });

  test("may hold values up to the limit", () => {
    expect(parseJson("[1,2,3]", { depth: 9, values: 4 })).toEqual([1, 2, 3]);
    for (const text of ["[1,2,3,4]", "[[],[]]", '{"a":{},"b":{}}']) {
      expect(() => parseJson(text, { depth: 9, values: 3 })).toThrow(JsonLimitError);
    }
  });

  test("may have any brackets and commas in its strings", () => {
    const text = `["${"[{,".repeat(1_000_000)}\\"${"[".repeat(99)}"]`;
    expect(parseJson(text)).toHaveLength(1);
  });
});
