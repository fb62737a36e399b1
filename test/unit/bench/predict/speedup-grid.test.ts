import { describe, expect, test } from "vitest";
import { addCycles, type DraftingCosts, predictSpeedup } from "../../../../src/bench/predict/drafting-cost.ts";
import { DraftReplay } from "../../../../src/bench/predict/replay.ts";
import {
  pickFinalists,
  type GridPrediction,
  predictGrid,
  wholeGrid,
} from "../../../../src/bench/predict/speedup-grid.ts";
import { hashDrafter, simulate, traceOf } from "../../../support/simulated-drafting.ts";

const costs: DraftingCosts = {
  batches: { target: Array.from({ length: 17 }, (_, index) => 100 + 5 * index), draft: [5, 6] },
  reevaluates: true,
};

/** Texts of a trace with n_max 16. */
function traceOfTexts(count: number, length: number) {
  const answers = Array.from({ length: count }, (_, index) => {
    const text = Array.from({ length }, (__, place) => (index * 7919 + place * place) % 1000);
    const { traced } = simulate({ text, room: length }, hashDrafter(text, 0.8, index), { nMax: 16, nMin: 0, pMin: 0 });
    return { text, traced };
  });
  return new DraftReplay(traceOf(answers));
}

describe("the grid", () => {
  test("has every setting once, with the speedup of its own steps", () => {
    const replay = traceOfTexts(2, 60);
    const predictions = predictGrid(replay, costs);
    // n_min 2 needs at least two tokens.
    expect(predictions).toHaveLength(20 * (16 * 2 - 1));
    for (const { setting, ratio, sums } of predictions) {
      const steps = addCycles(replay.replay(setting).flat());
      expect(sums).toEqual(steps);
      expect(ratio).toBe(predictSpeedup(steps, costs));
    }
  });

  test("needs no n_min of 1, which changes nothing", () => {
    const grid = { ...wholeGrid, nMin: [0, 1] };
    const predictions = predictGrid(traceOfTexts(1, 60), costs, { grid });
    for (let index = 0; index < predictions.length; index += 2)
      expect(predictions[index]?.sums).toEqual(predictions[index + 1]?.sums);
  });

  test("ends at the n_max of the trace", () => {
    const predictions = predictGrid(traceOfTexts(1, 20), costs, { mostDraft: 3 });
    expect(Math.max(...predictions.map(({ setting }) => setting.nMax))).toBe(3);
  });

  test("is empty where nothing can be predicted", () => {
    expect(predictGrid(new DraftReplay(traceOf([])), costs)).toEqual([]);
    const unknown = { ...costs, batches: { target: [], draft: [] } };
    expect(predictGrid(traceOfTexts(1, 20), unknown)).toEqual([]);
  });

  test("writes p_min as the log writes probabilities", () => {
    expect(wholeGrid.pMin.map(String)).toContain("0.15");
    expect(wholeGrid.pMin).toContain(Number("0.950"));
  });
});

describe("the finalists", () => {
  const one = (nMax: number, ratio: number, others: { pMin?: number; drafted?: number } = {}): GridPrediction => ({
    setting: { nMax, nMin: 0, pMin: others.pMin ?? 0 },
    ratio,
    sums: { ...addCycles([]), drafted: others.drafted ?? nMax * 100 },
  });

  test("are the best of lengths that are 1.4 times apart, within a tenth of the best, at most three", () => {
    const grid = [one(1, 1.1), one(2, 1.3), one(2, 1.35, { pMin: 0.5 }), one(3, 1.4), one(4, 1.38), one(5, 1.3)];
    expect(pickFinalists(grid)).toEqual([grid[3], grid[2], grid[5]]);
    expect(pickFinalists(grid, 1)).toEqual([grid[3]]);
  });

  test("of equal ones the one that drafts less comes first", () => {
    const grid = [one(6, 1.4), one(4, 1.3995), one(4, 1.4, { pMin: 0.3, drafted: 350 })];
    expect(pickFinalists(grid)).toEqual([grid[2], grid[0]]);
  });

  test("are none where every setting is predicted to lose more than predictions are off", () => {
    expect(pickFinalists([one(1, 0.95), one(2, 0.9)])).toEqual([]);
    expect(pickFinalists([one(1, 0.96), one(2, 0.9)])).toHaveLength(1);
    expect(pickFinalists([])).toEqual([]);
  });
});
