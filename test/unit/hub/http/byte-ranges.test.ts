import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  addRange,
  countBytes,
  cutRanges,
  joinRanges,
  listGaps,
  type ByteRange,
} from "../../../../src/hub/http/byte-ranges.ts";

const sizeBytes = 40;
const range = fc
  .tuple(fc.nat(sizeBytes), fc.nat(sizeBytes))
  .filter(([a, b]) => a !== b)
  .map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }));

/** The bytes that ranges hold, one by one. */
function spell(ranges: readonly ByteRange[]): number[] {
  return ranges.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i));
}

describe("byte ranges", () => {
  test("hold the added bytes in order, once, in the fewest pieces", () => {
    fc.assert(
      fc.property(fc.array(range), (added) => {
        const ranges = added.reduce<readonly ByteRange[]>(addRange, []);
        const bytes = [...new Set(spell(added))].toSorted((a, b) => a - b);
        expect(spell(ranges)).toEqual(bytes);
        expect(countBytes(ranges)).toBe(bytes.length);
        expect(joinRanges(added)).toEqual(ranges);
        expect(ranges.every(({ start }, i) => i === 0 || start > (ranges[i - 1]?.end ?? 0))).toBe(true);
      }),
    );
  });

  test("that touch are one range, and those with a byte between them are two", () => {
    const ranges = [
      { start: 8, end: 9 },
      { start: 0, end: 4 },
      { start: 4, end: 7 },
    ];
    const two = [
      { start: 0, end: 7 },
      { start: 8, end: 9 },
    ];
    expect(joinRanges(ranges)).toEqual(two);
    expect(ranges.reduce<readonly ByteRange[]>(addRange, [])).toEqual(two);
    expect(cutRanges(two, 3)).toEqual([
      { start: 0, end: 3 },
      { start: 3, end: 6 },
      { start: 6, end: 7 },
      { start: 8, end: 9 },
    ]);
    expect(listGaps(two, 9)).toEqual([{ start: 7, end: 8 }]);
    expect(listGaps([], 0)).toEqual([]);
  });

  test("and their gaps cover the whole, even when the gaps are split", () => {
    fc.assert(
      fc.property(fc.array(range), fc.integer({ min: 1, max: 9 }), (added, lengthBytes) => {
        const ranges = added.reduce<readonly ByteRange[]>(addRange, []);
        const pieces = cutRanges(listGaps(ranges, sizeBytes), lengthBytes);
        expect([...spell(ranges), ...spell(pieces)].toSorted((a, b) => a - b)).toEqual(
          spell([{ start: 0, end: sizeBytes }]),
        );
        expect(pieces.every(({ start, end }) => end > start && end - start <= lengthBytes)).toBe(true);
      }),
    );
  });
});
