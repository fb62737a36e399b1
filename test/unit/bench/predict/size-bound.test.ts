import { describe, expect, test } from "vitest";
import { upperBound } from "../../../../src/bench/predict/size-bound.ts";

describe("the bound by sizes alone", () => {
  test.each([
    [0, 11.6],
    [0.1, 4.3],
    [0.37, 1.7],
    [0.6, 1.2],
    [0.8, 0.9],
  ])("of a draft that costs %f of its target is %f", (share, bound) => {
    expect(upperBound(share, { reevaluates: true })).toBeCloseTo(bound, 1);
  });

  test("is the textbook's best speedup of all lengths, with one token more for the second look", () => {
    const share = 0.3;
    const textbook = (n: number) => (1 - 0.95 ** (n + 1)) / (1 - 0.95) / (1 + n * share);
    const lengths = Array.from({ length: 16 }, (_, index) => index + 1);
    const best = Math.max(...lengths.map(textbook));
    expect(upperBound(share, { reevaluates: false })).toBeCloseTo(best, 9);
    const second = Math.max(...lengths.map((n) => (textbook(n) * (1 + n * share)) / (1 + (n + 1) * share)));
    expect(upperBound(share, { reevaluates: true })).toBeCloseTo(second, 9);
  });

  test("falls with the draft's size, and is higher on builds that do not evaluate twice", () => {
    expect(upperBound(0.4, { reevaluates: true })).toBeLessThan(upperBound(0.3, { reevaluates: true }));
    expect(upperBound(0.4, { reevaluates: false })).toBeGreaterThan(upperBound(0.4, { reevaluates: true }));
  });
});
