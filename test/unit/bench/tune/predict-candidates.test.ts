import { describe, expect, test } from "vitest";
import type { DraftTrace } from "../../../../src/llama/server/draft-trace.ts";
import type { Candidate } from "../../../../src/bench/tune/candidate.ts";
import { predictNgrams, predictTraced } from "../../../../src/bench/tune/predict-candidates.ts";

function candidate(type: string, source: Candidate["source"]): Candidate {
  return {
    label: type,
    source,
    draft: { type, on_mismatch: "disable", on_loss: "warn" },
    bestPossible: null,
    costShare: null,
  };
}

const model = candidate("draft-simple", "model");

/** An answer of 60 steps, in each of which four of eight candidates are right. */
const trace: DraftTrace = {
  type: "draft-simple",
  leftOut: 0,
  restoresCheckpoints: false,
  answers: [
    {
      task: 1,
      firstToken: 1,
      cycles: Array.from({ length: 60 }, () => ({
        mostDraft: 500,
        candidates: [1, 2, 3, 4, 90, 91, 92, 93].map((token) => ({ token, probability: token < 10 ? 0.9 : 0.3 })),
        drafted: 8,
        accepted: 4,
        tokens: [1, 2, 3, 4, 5],
      })),
    },
  ],
};

const flat = Array.from({ length: 17 }, () => 10);
const cheap = { batches: { target: flat, draft: flat.map(() => 0.5) }, reevaluates: true };

describe("a traced drafter", () => {
  test("has a grid, and its best settings are worth a measurement, the best first", () => {
    const { predicted, finalists } = predictTraced(model, { trace }, cheap);
    expect(predicted.length).toBeGreaterThan(100);
    expect(predicted.every(({ candidate: of, ratio }) => of === "draft-simple" && ratio > 0)).toBe(true);
    const best = Math.max(...predicted.map(({ ratio }) => ratio));
    const [first] = finalists;
    expect(finalists.length).toBeLessThanOrEqual(3);
    expect(first?.predicted).toBeCloseTo(best, 2);
    expect(first?.draft).toMatchObject({ ...model.draft, n_max: expect.any(Number) as number });
    expect(predicted.map(({ label }) => label)).toEqual(expect.arrayContaining(finalists.map(({ label }) => label)));
  });

  test("whose drafts cost more than they bring is not measured", () => {
    const dear = { batches: { target: flat, draft: flat.map(() => 30) }, reevaluates: true };
    expect(predictTraced(model, { trace }, dear)).toMatchObject({ finalists: [] });
  });

  test.each<[string, DraftTrace | undefined, typeof cheap | undefined]>([
    ["without a trace", undefined, cheap],
    ["without an answer", { ...trace, answers: [] }, cheap],
    ["without costs", trace, undefined],
  ])("%s has some lengths to measure, and no prediction", (_, traced, costs) => {
    const { predicted, finalists } = predictTraced(model, { trace: traced }, costs);
    expect(predicted).toEqual([]);
    expect(finalists.map(({ label, predicted: ratio }) => [label, ratio])).toEqual(
      [2, 4, 8].map((length) => [`draft-simple n_max ${length} p_min 0`, null]),
    );
  });
});

describe("n-grams", () => {
  const [mod, simple] = [candidate("ngram-mod", "ngram"), candidate("ngram-simple", "ngram")];
  const repeated = Array.from({ length: 200 }, (_, index) => index % 20);
  const single = Array.from({ length: 200 }, (_, index) => 1000 + index);
  const text = (answer: readonly number[]) => [{ prompt: [7], answer, room: 1000 }];

  test("pay for a text that repeats itself, with one finalist: the best", () => {
    for (const one of [mod, simple]) {
      const { predicted, finalists } = predictNgrams(one, text(repeated), flat);
      const best = Math.max(...predicted.map(({ ratio }) => ratio));
      expect(finalists).toHaveLength(1);
      expect(finalists[0]?.predicted).toBe(best);
      expect(best).toBeGreaterThan(1.02);
      expect(finalists[0]?.draft).toMatchObject({ type: one.draft.type, ngram_size: expect.any(Number) as number });
    }
  });

  test("are not measured for a text without repetition, and not without texts or costs", () => {
    expect(predictNgrams(mod, text(single), flat).finalists).toEqual([]);
    expect(predictNgrams(mod, [], flat)).toMatchObject({ predicted: [], finalists: [] });
    expect(predictNgrams(mod, text(repeated), [])).toMatchObject({ predicted: [], finalists: [] });
  });

  test("of which only a bound is known must promise more than those that are played", () => {
    const cache = candidate("ngram-cache", "ngram");
    // Of 100 different tokens the last ones follow each other as some before them did.
    const answer = [...Array.from({ length: 100 }, (_, index) => index), 5, 6, 7, 8, 9, 10, 11, 12];
    const [little, much] = [1, 4].map((times) => [
      { prompt: [500], answer: [...answer, ...Array.from({ length: times - 1 }, () => answer).flat()], room: 999 },
    ]);
    const one = predictNgrams(cache, little ?? [], flat);
    expect(one.predicted[0]?.ratio).toBeGreaterThan(1.05);
    expect(one.predicted[0]?.ratio).toBeLessThan(1.15);
    expect(one.finalists).toEqual([]);
    expect(predictNgrams(cache, much ?? [], flat).finalists).toHaveLength(1);
  });

  test("of an unknown type have no settings", () => {
    expect(predictNgrams(candidate("ngram-new", "ngram"), text(repeated), flat)).toMatchObject({
      predicted: [],
      finalists: [],
    });
  });
});
