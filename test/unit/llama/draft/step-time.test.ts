import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { findStepMs } from "../../../../src/llama/draft/step-time.ts";

const known = [
  { contextTokens: 4000, ms: 70 },
  { contextTokens: 100, ms: 50 },
  { contextTokens: 2000, ms: 60 },
];

describe("the time of a step without a draft", () => {
  test.each([
    [100, 50],
    [1050, 55],
    [2000, 60],
    [3500, 67.5],
    [4000, 70],
  ])("at %d tokens is on the line between the two nearest known lengths: %d ms", (context, ms) => {
    expect(findStepMs(known, context)).toBeCloseTo(ms, 9);
  });

  test("is that of the nearest length up to 1024 tokens away, and unknown farther away", () => {
    expect(findStepMs(known, 0)).toBe(50);
    expect(findStepMs(known, 5024)).toBe(70);
    expect(findStepMs(known, 5025)).toBeUndefined();
    expect(findStepMs([{ contextTokens: 3000, ms: 9 }], 1975)).toBeUndefined();
    expect(findStepMs([{ contextTokens: 3000, ms: 9 }], 1976)).toBe(9);
  });

  test("is unknown where nothing is known", () => {
    expect(findStepMs([], 0)).toBeUndefined();
  });

  test("lies between the known ones, in whatever order they come", () => {
    const points = fc.array(
      fc.record({ contextTokens: fc.nat({ max: 9000 }), ms: fc.double({ min: 1, max: 100, noNaN: true }) }),
      { minLength: 1 },
    );
    fc.assert(
      fc.property(points, fc.nat({ max: 12_000 }), (list, context) => {
        const found = findStepMs(list, context);
        const times = list.map(({ ms }) => ms);
        if (found === undefined) return list.every(({ contextTokens }) => Math.abs(contextTokens - context) > 1024);
        return found >= Math.min(...times) - 1e-9 && found <= Math.max(...times) + 1e-9;
      }),
    );
  });
});
