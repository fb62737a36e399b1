import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { estimateFrom, meanOf, medianOf, tQuantile, varianceOf } from "../../../../src/bench/statistics/interval.ts";

const values = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 2, maxLength: 40 });

describe("an interval", () => {
  test("is the same for the same values in any order", () => {
    fc.assert(
      fc.property(values, (list) => {
        const { mean, ...ends } = estimateFrom(list);
        const { mean: other, ...otherEnds } = estimateFrom(list.toReversed());
        expect(otherEnds.low).toBeCloseTo(ends.low, 12);
        expect(otherEnds.high).toBeCloseTo(ends.high, 12);
        expect(other).toBeCloseTo(mean, 12);
        expect(ends.low).toBeLessThanOrEqual(mean + 1e-12);
        expect(ends.high).toBeGreaterThanOrEqual(mean - 1e-12);
      }),
    );
  });

  test("moves and grows with its values", () => {
    fc.assert(
      fc.property(values, fc.double({ min: -5, max: 5, noNaN: true }), (list, shift) => {
        const before = estimateFrom(list);
        const after = estimateFrom(list.map((value) => 2 * value + shift));
        expect(after.low).toBeCloseTo(2 * before.low + shift, 9);
        expect(after.high).toBeCloseTo(2 * before.high + shift, 9);
      }),
    );
  });

  test("of normal values is about that of the t distribution", () => {
    // Quantiles of the normal distribution: a sample without chance.
    const list = [-1.5, -0.9, -0.5, -0.16, 0.16, 0.5, 0.9, 1.5];
    const half = tQuantile(7) * Math.sqrt(varianceOf(list) / list.length);
    const { low, high } = estimateFrom(list);
    expect(-low / half).toBeCloseTo(1, 1);
    expect(high / half).toBeCloseTo(1, 1);
  });

  test("of equal values has no width", () => {
    expect(estimateFrom([0.5, 0.5, 0.5, 0.5])).toEqual({ mean: 0.5, low: 0.5, high: 0.5 });
  });
});

test.each([
  [1, 12.706],
  [2, 4.303],
  [3, 3.182],
  [4, 2.776],
  [5, 2.571],
  [10, 2.228],
  [30, 2.042],
  [1000, 1.962],
])("the t quantile of %i degrees is that of the tables: %f", (degrees, quantile) => {
  expect(tQuantile(degrees) / quantile).toBeCloseTo(1, 2);
});

test("a median is the value in the middle, or between the two there", () => {
  expect([medianOf([5, 1, 3]), medianOf([4, 1]), medianOf([7])]).toEqual([3, 2.5, 7]);
});

test("mean and variance are those of a sample", () => {
  expect(meanOf([1, 2, 6])).toBe(3);
  expect(varianceOf([1, 2, 6])).toBe(7);
  expect(varianceOf([5])).toBe(0);
});
