import { describe, expect, test } from "vitest";
import {
  type Comparison,
  estimateByKind,
  estimateFirstToken,
  estimatePrompts,
  estimateRatio,
  splitVariance,
  summarizeWaitShare,
} from "../../../../src/bench/statistics/estimate-ratio.ts";
import { makeRound, roundsOfRatios } from "../../../support/make-rounds.ts";

const comparison: Comparison = { first: "none", second: "profile", timing: "wall" };
const turned: Comparison = { first: "profile", second: "none", timing: "wall" };

describe("the ratio of two settings", () => {
  test("is the geometric mean over prompts, each of them that of its passes", () => {
    const rounds = roundsOfRatios([[2, 8], [1], [1], [1]]);
    const estimate = estimateRatio(rounds, comparison);
    // (4 · 1 · 1 · 1) ^ (1 / 4)
    expect(estimate?.ratio).toBeCloseTo(Math.SQRT2, 12);
    expect(estimate?.prompts).toBe(4);
    expect(estimate?.low).toBeLessThan(1);
    expect(estimate?.high).toBeGreaterThan(2);
  });

  test("is the inverse when the settings change places", () => {
    const rounds = roundsOfRatios([[1.2], [1.4], [1.3], [1.1], [1.25]]);
    const forth = estimateRatio(rounds, comparison);
    const back = estimateRatio(rounds, turned);
    expect((forth?.ratio ?? 0) * (back?.ratio ?? 0)).toBeCloseTo(1, 12);
    // The draws are not mirrored, so the ends agree to about a hundredth.
    expect((forth?.low ?? 0) * (back?.high ?? 0)).toBeCloseTo(1, 1);
  });

  test("is exact where all prompts agree", () => {
    const estimate = estimateRatio(roundsOfRatios([[1.5], [1.5], [1.5], [1.5]]), comparison);
    for (const value of [estimate?.ratio, estimate?.low, estimate?.high]) expect(value).toBeCloseTo(1.5, 12);
  });

  test("counts the time a token, by the clock or by the processor", () => {
    const rounds = [0, 1, 2, 3].map((prompt) =>
      makeRound(`${prompt}`, {
        none: { tokens: 100, generateMs: 1000, cpuMs: 900 },
        profile: { tokens: 50, generateMs: 250, cpuMs: 300 },
      }),
    );
    expect(estimateRatio(rounds, comparison)?.ratio).toBeCloseTo(2, 12);
    expect(estimateRatio(rounds, { ...comparison, timing: "cpu" })?.ratio).toBeCloseTo(1.5, 12);
  });

  test("leaves out rounds that one setting did not finish", () => {
    const rounds = roundsOfRatios([[2], [2], [2], [2], [9], [9]]);
    const [, , , , failed, empty] = rounds;
    const broken = [
      ...rounds.slice(0, 4),
      { ...(failed ?? expect.fail()), results: { ...failed?.results, none: { error: "it died" } } },
      { ...(empty ?? expect.fail()), results: {} },
    ];
    expect(estimateRatio(broken, comparison)).toMatchObject({ prompts: 4 });
    expect(estimateRatio(broken, comparison)?.ratio).toBeCloseTo(2, 12);
  });

  test("of no rounds is not known", () => {
    expect(estimateRatio([], comparison)).toBeUndefined();
  });
});

describe("with fewer than four prompts", () => {
  test("the interval is about these prompts: a t interval of their passes", () => {
    const ratios = [
      [Math.log(2), Math.log(2.2)],
      [Math.log(1), Math.log(1.1)],
    ];
    const { low, high, ratio } = estimatePrompts(ratios) ?? expect.fail();
    const step = Math.log(1.1);
    // Each prompt's variance is step² / 2, of two degrees together; the mean is that of four passes.
    const half = 4.303 * Math.sqrt(step ** 2 / 2 / 4);
    expect(Math.log(high / ratio)).toBeCloseTo(half, 9);
    expect(Math.log(ratio / low)).toBeCloseTo(half, 9);
  });

  test("one pass of each has none", () => {
    expect(estimatePrompts([[0.1], [0.2], [0.3]])).toBeUndefined();
    expect(estimatePrompts([[0.1]])).toBeUndefined();
  });

  test("two passes of one prompt have a wide one", () => {
    const { low, high, prompts } = estimatePrompts([[0.1, 0.2]]) ?? expect.fail();
    expect(prompts).toBe(1);
    expect(Math.log(high / low) / 2).toBeCloseTo(12.706 * 0.05, 9);
  });
});

describe("the spread of ratios", () => {
  test("is split between prompts and passes", () => {
    // Means 1 and 3, passes ± 1 around them: 2 within, and 2 - 2 / 2 between.
    expect(
      splitVariance([
        [0, 2],
        [2, 4],
      ]),
    ).toEqual({ between: 1, within: 2, degrees: 2 });
  });

  test("is all within where passes explain it, or where there is one of each", () => {
    expect(
      splitVariance([
        [0, 2],
        [0, 2],
      ]),
    ).toEqual({ between: 0, within: 2, degrees: 2 });
    expect(splitVariance([[0], [2]])).toEqual({ between: 0, within: 2, degrees: 0 });
  });
});

describe("parts of a result", () => {
  const rounds = roundsOfRatios([[2], [2], [2], [2], [0.5], [0.5], [0.5], [0.5], [3]]);
  const kinds = Array.from({ length: 8 }, (_, index) => ({
    id: `prompt ${index}`,
    kind: index < 4 ? "code" : "prose",
  }));

  test("each kind of prompt has its own estimate, when it has enough prompts", () => {
    const byKind = estimateByKind(rounds, [...kinds, { id: "prompt 8", kind: "own" }], comparison);
    expect(Object.keys(byKind)).toEqual(["code", "prose"]);
    expect(byKind["code"]?.ratio).toBeCloseTo(2, 12);
    expect(byKind["prose"]?.ratio).toBeCloseTo(0.5, 12);
  });

  test("the time to the first token is that of the second setting over that of the first", () => {
    const slower = [0, 1, 2, 3].map((prompt) =>
      makeRound(`${prompt}`, { none: { firstTokenMs: 100 }, profile: { firstTokenMs: 104 } }),
    );
    expect(estimateFirstToken(slower, comparison)?.ratio).toBeCloseTo(1.04, 12);
    expect(estimateFirstToken([makeRound("0", { none: { firstTokenMs: 0 } })], comparison)).toBeUndefined();
  });

  test("the wait for a processor is the mean of what is known", () => {
    const waits = [0.1, null, 0.3].map((waitShare) => makeRound("0", {}, { waitShare }));
    expect(summarizeWaitShare(waits)).toBeCloseTo(0.2, 12);
    expect(summarizeWaitShare([makeRound("0", {})])).toBeNull();
  });
});
