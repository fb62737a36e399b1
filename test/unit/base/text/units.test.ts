import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatDuration, formatSize, parseDuration, parseSize } from "../../../../src/base/text/units.ts";

describe("parseDuration", () => {
  test.each([
    ["500ms", 500],
    ["90s", 90_000],
    ["15m", 900_000],
    ["1.5h", 5_400_000],
    ["2d", 172_800_000],
    [" 3 s ", 3000],
    ["0s", 0],
  ])("reads %j", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each(["", "90", "s", "-1s", "1m30s", "1 minute", "1e3s", ".5s", "5.s", "1S", "1  s", "NaNs", "1constructor"])(
    "refuses %j",
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );

  test("reads any whole number of each unit", () => {
    const units = fc.constantFrom(["ms", 1], ["s", 1000], ["m", 60_000], ["h", 3_600_000], ["d", 86_400_000]);
    fc.assert(
      fc.property(fc.nat(), units, (count, [unit, ms]) => {
        expect(parseDuration(`${count}${unit}`)).toBe(count * Number(ms));
      }),
    );
  });
});

describe("parseSize", () => {
  test.each([
    ["64B", 64],
    ["500 MB", 500e6],
    ["8GiB", 8 * 2 ** 30],
    ["1.5KiB", 1536],
    ["2TB", 2e12],
  ])("reads %j", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each(["8", "8G", "8gib", "GiB", "-1B", "1toString"])("refuses %j", (text) => {
    expect(parseSize(text)).toBeUndefined();
  });
});

describe("formatDuration", () => {
  test.each([
    [0, "0 ms"],
    [999.4, "999 ms"],
    [1200, "1.2 s"],
    [59_940, "59.9 s"],
    [59_960, "1 min 0 s"],
    [185_000, "3 min 5 s"],
    [3_600_000, "1 h 0 min"],
    [7_800_000, "2 h 10 min"],
    [180_000_000, "2 d 2 h"],
  ])("writes %d ms as %j", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  test("never writes 60 of a unit that the next one holds", () => {
    fc.assert(
      fc.property(fc.nat({ max: 86_400_000 }), (ms) => {
        expect(formatDuration(ms)).not.toMatch(/\b60(\.0)? (s|min)$/);
      }),
    );
  });
});

describe("formatSize", () => {
  test.each([
    [512, "512 B"],
    [999, "999 B"],
    [1000, "1.0 kB"],
    [2_036_032, "2.0 MB"],
    [999_960, "1.0 MB"],
    [135e9, "135.0 GB"],
    [5e15, "5000.0 TB"],
  ])("writes %d bytes as %j", (bytes, text) => {
    expect(formatSize(bytes)).toBe(text);
  });
});
