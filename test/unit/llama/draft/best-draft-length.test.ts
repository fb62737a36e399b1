import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { findBestDraftLength } from "../../../../src/llama/draft/best-draft-length.ts";
import type { StepCosts } from "../../../../src/supervisor/launch.ts";

/** SmolLM2-135M in F32 with its own Q4_1 as the draft: the time of a batch of 1, 2, 3 … tokens. */
const costs: StepCosts = {
  stepMs: [{ contextTokens: 32, ms: 51.5 }],
  targetMs: [51.5, 54.6, 56.1, 60.8, 65.4, 69, 72.6, 76.2, 79.8],
  draftMs: [20.5, 29.3, 40.2, 53.2, 66.2, 77.9, 89.7, 101.4, 113.2],
  reevaluates: true,
};

/** What drafts of `length` tokens bring when each token is accepted with this probability. */
function drafted(rate: number, length: number, steps = 1_000_000) {
  let accepted = 0;
  for (let i = 1; i <= length; i += 1) accepted += rate ** i;
  return { steps, drafts: 0, draftTokens: steps * length, acceptedTokens: steps * accepted };
}

/** V(1) · E / (n · d + V(n + 1) + D(n + 1)), written out. */
function speedup(rate: number, length: number, { targetMs, draftMs, reevaluates }: StepCosts): number {
  const [v, d] = [targetMs ?? [], draftMs ?? []];
  const tokens = 1 + drafted(rate, length, 1).acceptedTokens;
  const again = reevaluates ? (d[length] ?? 0) : 0;
  return ((v[0] ?? 0) * tokens) / (length * (d[0] ?? 0) + (v[length] ?? 0) + again);
}

describe("the best length of a draft", () => {
  test.each([0.3, 0.6, 0.8, 0.95, 1])("with the probability %d is the best of all lengths", (rate) => {
    const all = [1, 2, 3, 4, 5, 6, 7, 8].map((nMax) => ({ nMax, ratio: speedup(rate, nMax, costs) }));
    const [best] = all.toSorted((a, b) => b.ratio - a.ratio);
    const found = findBestDraftLength(costs, drafted(rate, 4));
    expect(found?.nMax).toBe(best?.nMax);
    expect(found?.ratio).toBeCloseTo(best?.ratio ?? 0, 3);
  });

  test("does not depend on the length with which it was learned", () => {
    fc.assert(
      fc.property(fc.double({ min: 0.05, max: 0.99, noNaN: true }), fc.integer({ min: 1, max: 12 }), (rate, length) => {
        const found = findBestDraftLength(costs, drafted(rate, length));
        expect(found?.ratio).toBeCloseTo(findBestDraftLength(costs, drafted(rate, 1))?.ratio ?? 0, 3);
      }),
    );
  });

  test("is longer where the draft does not evaluate each batch again", () => {
    const again = findBestDraftLength(costs, drafted(0.9, 4));
    const once = findBestDraftLength({ ...costs, reevaluates: false }, drafted(0.9, 4));
    expect(once?.ratio).toBeGreaterThan(again?.ratio ?? Infinity);
    expect(once?.nMax).toBeGreaterThanOrEqual(again?.nMax ?? Infinity);
  });

  test("costs nothing but the check where the draft is made of n-grams", () => {
    const free = { ...costs, draftMs: null };
    expect(findBestDraftLength(free, drafted(1, 4))).toEqual({ nMax: 8, ratio: expect.closeTo((51.5 * 9) / 79.8, 3) });
  });

  test("brings less where only some steps draft, and a loaded draft takes part in the others", () => {
    const half = { ...drafted(0.9, 4), steps: 2_000_000, drafts: 1_000_000 };
    const { nMax = 0, ratio } = findBestDraftLength(costs, half) ?? {};
    const tokens = 1 + drafted(0.9, nMax, 1).acceptedTokens;
    const withDraft = nMax * 20.5 + (costs.targetMs?.[nMax] ?? 0) + (costs.draftMs?.[nMax] ?? 0);
    expect(ratio).toBeCloseTo((51.5 * (tokens + 1)) / (withDraft + 51.5 + 20.5), 3);
  });

  test("goes no further than what was measured", () => {
    expect(findBestDraftLength({ ...costs, draftMs: [1, 1, 1] }, drafted(1, 4))?.nMax).toBe(2);
  });

  test.each([
    ["nothing was drafted", costs, { steps: 10, drafts: 0, draftTokens: 0, acceptedTokens: 0 }],
    ["there was no step", costs, { steps: 0, drafts: 0, draftTokens: 9, acceptedTokens: 9 }],
    ["no batch was measured", { ...costs, targetMs: null }, drafted(1, 4)],
    ["only single tokens were measured", { ...costs, targetMs: [50] }, drafted(1, 4)],
  ])("is unknown where %s", (_, measured, sums) => {
    expect(findBestDraftLength(measured, sums)).toBeUndefined();
  });
});
