import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { smoothCosts } from "../../../../src/bench/predict/smooth-costs.ts";

describe("smoothed costs", () => {
  test("stay as they are where they never fall", () => {
    expect(smoothCosts([1, 2, 2, 5])).toEqual([1, 2, 2, 5]);
    expect(smoothCosts([])).toEqual([]);
  });

  test("are the mean where a larger batch seems cheaper", () => {
    expect(smoothCosts([1, 4, 2, 5])).toEqual([1, 3, 3, 5]);
    expect(smoothCosts([6, 5, 1])).toEqual([4, 4, 4]);
  });

  test("never fall, and add up to what was measured", () => {
    const sum = (list: readonly number[]) => list.reduce((total, one) => total + one, 0);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 20 }), (costs) => {
        const smooth = smoothCosts(costs);
        expect(smooth).toHaveLength(costs.length);
        for (const [index, cost] of smooth.slice(1).entries()) expect(cost).toBeGreaterThanOrEqual(smooth[index] ?? 0);
        expect(sum(smooth)).toBeCloseTo(sum(costs), 6);
      }),
    );
  });
});
