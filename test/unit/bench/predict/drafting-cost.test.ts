import { describe, expect, test } from "vitest";
import {
  addCycles,
  batchCost,
  type DraftingCosts,
  predictSpeedup,
} from "../../../../src/bench/predict/drafting-cost.ts";
import { fillCosts } from "../../../../src/llama/server/batch-costs.ts";

const cycle = { drafted: 2, accepted: 1, evaluations: 2, tokens: 2, unknown: 0 };
/** Powers of ten, so that a sum shows what was counted. */
const costs: DraftingCosts = {
  batches: { target: [1000, 1100, 1200, 1300], draft: [10, 11, 12, 13] },
  reevaluates: true,
};

describe("the predicted speedup", () => {
  test("weighs each step's evaluations, checked batch, and the draft's second look at that batch", () => {
    const sums = addCycles([cycle, { drafted: 0, accepted: 0, evaluations: 1, tokens: 1, unknown: 0 }]);
    expect(predictSpeedup(sums, costs)).toBe((3 * 1000) / (3 * 10 + (1200 + 12) + (1000 + 10)));
    expect(predictSpeedup(sums, { ...costs, reevaluates: false })).toBe((3 * 1000) / (3 * 10 + 1200 + 1000));
  });

  test("counts no draft model where there is none", () => {
    const ngram = { batches: { ...costs.batches, draft: null }, reevaluates: true };
    expect(predictSpeedup(addCycles([{ ...cycle, evaluations: 0 }]), ngram)).toBe(2000 / 1200);
  });

  test("says of an F16 model with its own Q4_1 as a draft what was measured, where the textbook says 1.37", () => {
    // Milliseconds for 1, 2, 3, 5, 9 and 17 tokens, as measured.
    const sizes = [1, 2, 3, 5, 9, 17];
    const curve = (first: number, rises: readonly number[]) =>
      fillCosts(new Map(sizes.map((tokens, index) => [tokens, first * (rises[index] ?? 1)])), 17) ?? expect.fail();
    const measured = {
      batches: {
        target: curve(36.6, [1, 1.1, 1.21, 1.5, 2.01, 3.15]),
        draft: curve(20.5, [1, 1.43, 1.96, 3.23, 5.52, 8.04]),
      },
      reevaluates: true,
    };
    const step = { drafted: 4, accepted: 3.55, evaluations: 4, tokens: 4.55, unknown: 0 };
    expect(predictSpeedup(addCycles([step]), measured)).toBeCloseTo(0.82, 2);
    expect(predictSpeedup(addCycles([step]), { ...measured, reevaluates: false })).toBeCloseTo(1.22, 2);
  });

  test("is not known without costs or without steps", () => {
    expect(predictSpeedup(addCycles([cycle]), { ...costs, batches: { target: [], draft: null } })).toBeUndefined();
    expect(predictSpeedup(addCycles([]), costs)).toBeUndefined();
  });
});

describe("steps added up", () => {
  test("are counted by what they check", () => {
    expect(addCycles([cycle, cycle, { drafted: 4, accepted: 0, evaluations: 5, tokens: 1, unknown: 3 }])).toEqual({
      byDrafted: [0, 0, 2, 0, 1],
      steps: 3,
      tokens: 5,
      drafted: 8,
      accepted: 2,
      evaluations: 9,
      unknown: 3,
    });
  });
});

test("the cost of a batch beyond the largest measured one grows as it did last", () => {
  expect(batchCost([10, 12, 15], 5)).toBe(21);
  expect(batchCost([10], 5)).toBe(10);
  // The last two are equal by noise: not what a much larger batch costs.
  expect(batchCost([10, 12, 14, 16, 16], 9)).toBe(20);
  expect(batchCost([10, 9], 3)).toBe(9);
  expect(batchCost([], 1)).toBeNaN();
});
