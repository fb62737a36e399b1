import fc from "fast-check";
import { expect, test } from "vitest";
import type { Measurement, Round } from "../../../../src/bench/measurement.ts";
import { findStepCosts } from "../../../../src/bench/statistics/step-costs.ts";
import { makeRound } from "../../../support/make-rounds.ts";

/** A round whose server without drafting has answered 100 tokens at this speed. */
function quiet(promptTokens: number, msPerToken: number, more: Partial<Measurement> = {}): Round {
  return makeRound("p", { none: { promptTokens, tokens: 100, generateMs: 100 * msPerToken, ...more } });
}

test("the shorter and the longer half of the answers have a length each, in the middle of the answer", () => {
  const rounds = [quiet(1000, 12), quiet(10, 8), quiet(20, 9), quiet(1200, 14), quiet(30, 10), quiet(1400, 16)];
  expect(findStepCosts(rounds, "none")).toEqual([
    { contextTokens: 70, ms: 9 },
    { contextTokens: 1250, ms: 14 },
  ]);
});

test("an even number of answers has its median between two of them", () => {
  const rounds = [quiet(10, 8), quiet(20, 10), quiet(1000, 12), quiet(1101, 16)];
  expect(findStepCosts(rounds, "none")).toEqual([
    { contextTokens: 65, ms: 9 },
    { contextTokens: 1101, ms: 14 },
  ]);
});

test("where longer contexts seem faster, both lengths have the median of all", () => {
  const rounds = [quiet(10, 12), quiet(20, 10), quiet(1000, 8), quiet(1100, 9)];
  expect(findStepCosts(rounds, "none").map(({ ms }) => ms)).toEqual([9.5, 9.5]);
});

test("answers of one length have one entry", () => {
  const rounds = [quiet(10, 8), quiet(10, 9), quiet(10, 11), quiet(10, 12)];
  expect(findStepCosts(rounds, "none")).toEqual([{ contextTokens: 60, ms: 10 }]);
});

test("answers of nearly the same length have one entry, too", () => {
  const rounds = [quiet(10, 8), quiet(20, 9), quiet(40, 11), quiet(60, 12)];
  expect(findStepCosts(rounds, "none")).toEqual([{ contextTokens: 80, ms: 10 }]);
  const apart = [quiet(10, 8), quiet(10, 8), quiet(74, 11), quiet(74, 11)];
  expect(findStepCosts(apart, "none").map(({ contextTokens }) => contextTokens)).toEqual([60, 124]);
});

test.each<[string, Round]>([
  ["a busy machine", { ...quiet(10, 900), waitShare: 0.1 }],
  ["a failed request", { ...quiet(10, 900), results: { none: { error: "died" } } }],
  ["another server", { ...quiet(10, 900), results: {} }],
  ["a short answer", quiet(10, 900, { tokens: 15, generateMs: 13_500 })],
  ["an answer without a time", quiet(10, 0)],
  ["an answer that was drafted", quiet(10, 900, { draftTokens: 4 })],
])("%s does not count", (_, bad) => {
  const rounds = [quiet(10, 8), quiet(10, 8), quiet(10, 8)];
  expect(findStepCosts([bad, ...rounds, bad], "none")).toEqual([]);
  expect(findStepCosts([bad, ...rounds, quiet(10, 8)], "none")).toEqual([{ contextTokens: 60, ms: 8 }]);
});

test("a machine that hardly waits is quiet", () => {
  const rounds = Array.from({ length: 4 }, () => ({ ...quiet(10, 8), waitShare: 0.09 }));
  expect(findStepCosts(rounds, "none")).toHaveLength(1);
});

test("the result lies among the answers, never falls with the length, and does not depend on their order", () => {
  const answer = fc.record({
    prompt: fc.integer({ min: 1, max: 4000 }),
    ms: fc.double({ min: 1, max: 100, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(answer, { minLength: 4, maxLength: 30 }), (answers) => {
      const rounds = answers.map(({ prompt, ms }) => quiet(prompt, ms));
      const costs = findStepCosts(rounds, "none");
      const times = answers.map(({ ms }) => ms);
      for (const { ms } of costs) {
        expect(ms).toBeGreaterThanOrEqual(Math.min(...times) * 0.999_999);
        expect(ms).toBeLessThanOrEqual(Math.max(...times) * 1.000_001);
      }
      expect(costs.map(({ contextTokens }) => contextTokens)).toEqual(
        [...new Set(costs.map(({ contextTokens }) => contextTokens))].toSorted((a, b) => a - b),
      );
      const [short, long = short] = costs;
      expect(short?.ms).toBeLessThanOrEqual(long?.ms ?? 0);
      // Answers of the same length may be in either half.
      if (new Set(answers.map(({ prompt }) => prompt)).size === answers.length)
        expect(findStepCosts(rounds.toReversed(), "none")).toEqual(costs);
    }),
  );
});
