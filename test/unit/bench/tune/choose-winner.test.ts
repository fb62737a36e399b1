import { describe, expect, test } from "vitest";
import type { Round } from "../../../../src/bench/measurement.ts";
import type { Candidate } from "../../../../src/bench/tune/candidate.ts";
import { chooseWinner } from "../../../../src/bench/tune/choose-winner.ts";
import { makeFinalist } from "../../../../src/bench/tune/finalist.ts";
import { makeMeasurement } from "../../../support/fake-contest.ts";

const ngram: Candidate = {
  label: "ngram-mod",
  source: "ngram",
  draft: { type: "ngram-mod", on_mismatch: "disable", on_loss: "warn" },
  bestPossible: null,
  costShare: null,
};
const model: Candidate = {
  ...ngram,
  label: "draft-simple",
  source: "model",
  draft: { ...ngram.draft, type: "draft-simple", model: "/d.gguf" },
};
const [grams, short, long] = [
  makeFinalist(ngram, { n_max: 16 }, 1.2),
  makeFinalist(model, { n_max: 2, p_min: 0 }, 1.2),
  makeFinalist(model, { n_max: 8, p_min: 0 }, 1.2),
];

/** Rounds in which each setting is faster than none by its ratio, with a little noise. */
function rounds(ratios: Readonly<Record<string, number>>): Round[] {
  return Array.from({ length: 12 }, (_, index) => {
    const all = { none: 1, ...ratios };
    const noise = 1 + 0.001 * (index % 3);
    const results = Object.entries(all).map(
      ([label, ratio]) => [label, makeMeasurement((1000 * noise) / ratio)] as const,
    );
    return {
      promptId: `p${index}`,
      pass: 0,
      order: Object.keys(all),
      results: Object.fromEntries(results),
      waitShare: null,
      at: "2026-11-28T12:00:00.000Z",
    };
  });
}

function choose(ratios: Readonly<Record<string, number>>) {
  return chooseWinner([long, short, grams], { none: "none", rounds: rounds(ratios), timing: "wall", elapsedMs: 1000 });
}

describe("the winner", () => {
  test.each<[string, readonly [number, number, number], string]>([
    ["is the fastest", [1.5, 1.3, 1.1], long.label],
    ["is the one with fewer drafted tokens, of two draft models within 2 %", [1.5, 1.48, 1.1], short.label],
    ["needs no draft model where it is within 2 % without one", [1.5, 1.48, 1.48], grams.label],
    ["is still the fastest where the next one is more than 2 % behind", [1.5, 1.46, 1.46], long.label],
  ])("%s", (_, [ofLong, ofShort, ofGrams], label) => {
    const { finalist, verdict } = choose({ [long.label]: ofLong, [short.label]: ofShort, [grams.label]: ofGrams });
    expect([finalist?.label, verdict.kind]).toEqual([label, "pays"]);
  });

  test.each<[string, number, string]>([
    ["loses", 0.8, "loses"],
    ["is as fast", 1.001, "equal"],
  ])("is none where the best one %s, which is told", (_, ratio, kind) => {
    const { finalist, verdict } = choose({ [long.label]: ratio });
    expect([finalist, verdict.kind]).toEqual([undefined, kind]);
  });

  test("is none where nothing was measured", () => {
    expect(choose({})).toEqual({
      finalist: undefined,
      verdict: { kind: "unknown", estimate: undefined, moreMs: undefined, morePrompts: undefined },
    });
  });
});

describe("a finalist", () => {
  test("is named by its numbers, and those of the build's own are left out", () => {
    const numbers = { n_max: 4, n_min: undefined, p_min: 0, ngram_size: undefined };
    expect(makeFinalist(model, numbers, null)).toEqual({
      label: "draft-simple n_max 4 p_min 0",
      candidate: model,
      draft: { ...model.draft, n_max: 4, p_min: 0 },
      predicted: null,
    });
    expect(makeFinalist(ngram, {}, 1.1)).toMatchObject({ label: "ngram-mod", draft: ngram.draft });
  });
});
