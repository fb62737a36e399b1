import { describe, expect, test } from "vitest";
import { parseRecord } from "../../../../src/hub/download/part-record.ts";

const text = '\netag "abc"\n0 1048576\n4194304 5242880\n1048576 2097152';
const sizeBytes = 5_242_880;

describe("a record", () => {
  test("holds the fetched ranges and the ETag", () => {
    expect(parseRecord(text, sizeBytes)).toEqual({
      etag: '"abc"',
      ranges: [
        { start: 0, end: 2_097_152 },
        { start: 4_194_304, end: 5_242_880 },
      ],
    });
  });

  test("that was cut anywhere and then extended never names a missing byte", () => {
    const whole = parseRecord(text, sizeBytes).ranges;
    for (let length = 0; length < text.length; length += 1) {
      for (const { start, end } of parseRecord(`${text.slice(0, length)}\n0 10`, sizeBytes).ranges) {
        expect(whole.some((range) => range.start <= start && end <= range.end)).toBe(true);
      }
    }
  });

  test.each([
    "0 99999999",
    "9 9",
    "9 1",
    "-1 4",
    "1.5 4",
    "0 4 9",
    "zero four",
    'etag W/"weak"',
    'etag "line',
    "\0\0\0",
  ])("ignores %j", (line) => {
    expect(parseRecord(`\n${line}`, sizeBytes)).toEqual({ etag: undefined, ranges: [] });
  });
});

describe("a hostile record", () => {
  const lines = (count: number, step: number) => Array.from({ length: count }, (_, i) => `${i * step} ${i * step + 1}`);

  test("of hundreds of thousands of lines takes linear time", () => {
    const text = lines(400_000, 1).toReversed().join("\n");
    expect(parseRecord(text, 1_000_000).ranges).toEqual([{ start: 0, end: 400_000 }]);
  });

  test("of more ranges than any download leaves counts as none", () => {
    expect(parseRecord(lines(300_000, 2).join("\n"), 1_000_000)).toEqual({ etag: undefined, ranges: [] });
  });
});
