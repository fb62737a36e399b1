import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { linearScale, logScale, ratioScale, wholeScale } from "../../../../../src/bench/report/chart/scale.ts";

const positive = fc.double({ min: 1e-6, max: 1e6, noNaN: true });

describe("an axis", () => {
  test.each([
    ["of shares", linearScale(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]],
    ["of a few tenths", linearScale(0, 0.3), [0, 0.1, 0.2, 0.3]],
    ["of costs", linearScale(0, 1.5), [0, 0.5, 1, 1.5]],
    ["of a single value", linearScale(3, 3), [2.6, 2.8, 3, 3.2, 3.4]],
    ["of speeds", logScale([34, 63]), [40, 50, 60]],
    ["of speeds that are far apart", logScale([2, 40]), [2, 5, 10, 20]],
    ["of many powers of ten", logScale([0.001, 1e9]), [0.001, 1, 1000, 1e6, 1e9]],
    ["of nothing", logScale([]), []],
    ["of ratios on both sides of 1", ratioScale([0.85, 1.64]), [1, 1.2, 1.4, 1.6]],
    ["of ratios above 1", ratioScale([1.3, 1.4]), [1, 1.1, 1.2, 1.3, 1.4]],
    ["of ratios that hardly differ", ratioScale([1.001]), [0.98, 1, 1.02, 1.04]],
    ["of extreme ratios", ratioScale([0.01, 50]), [0.01, 0.1, 1, 10]],
    ["of whole numbers", wholeScale([1, 8]), [1, 2, 3, 4, 5, 6, 7, 8]],
    ["of many whole numbers", wholeScale([1, 16]), [1, 3, 5, 7, 9, 11, 13, 15]],
  ])("%s has round labels", (_, { ticks }, expected) => {
    expect(ticks).toEqual(expected);
  });

  test("places its values in their order, between its ends", () => {
    fc.assert(
      fc.property(fc.array(positive, { minLength: 1, maxLength: 20 }), (values) => {
        const sorted = values.toSorted((a, b) => a - b);
        for (const scale of [logScale(values), ratioScale(values), linearScale(sorted[0] ?? 0, sorted.at(-1) ?? 0)]) {
          const places = sorted.map(scale.place);
          expect(places.every((place) => place >= 0 && place <= 1)).toBe(true);
          expect(places.toSorted((a, b) => a - b)).toEqual(places);
        }
      }),
    );
  });

  test("has few labels, in order, of which no two touch", () => {
    fc.assert(
      fc.property(fc.array(positive, { minLength: 1, maxLength: 20 }), (values) => {
        for (const { ticks, place } of [logScale(values), ratioScale(values)]) {
          expect(ticks.length).toBeLessThanOrEqual(7);
          expect(ticks.length).toBeGreaterThanOrEqual(2);
          const gaps = ticks.slice(1).map((tick, index) => place(tick) - place(ticks[index] ?? tick));
          expect(gaps.every((gap) => gap >= 0.15)).toBe(true);
        }
      }),
    );
  });

  test("of ratios always has the label 1", () => {
    fc.assert(fc.property(fc.array(positive, { maxLength: 20 }), (ratios) => ratioScale(ratios).ticks.includes(1)));
  });

  test("gives the same distance to the same ratio", () => {
    const { place } = logScale([10, 80]);
    expect(place(40) - place(20)).toBeCloseTo(place(20) - place(10), 12);
  });

  test("places what is beyond its ends at an end", () => {
    const { place } = logScale([10, 20]);
    expect([place(0), place(1e9)]).toEqual([0, 1]);
  });
});
