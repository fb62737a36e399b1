import { describe, expect, test } from "vitest";
import type { Verdict } from "../../../../src/bench/estimate.ts";
import type { Comparison } from "../../../../src/bench/statistics/estimate-ratio.ts";
import { judge, spreadOf } from "../../../../src/bench/statistics/judge.ts";
import { roundsOfRatios } from "../../../support/make-rounds.ts";

const comparison: Comparison = { first: "none", second: "profile", timing: "wall" };
const minute = 60_000;

function verdictOf(ratios: readonly (readonly number[])[], elapsedMs = minute): Verdict {
  return judge(roundsOfRatios(ratios), comparison, elapsedMs);
}

function more(verdict: Verdict): { readonly moreMs?: number | undefined; readonly morePrompts?: number | undefined } {
  if (verdict.kind !== "unknown") return expect.fail(`the verdict is ${verdict.kind}`);
  return { moreMs: verdict.moreMs, morePrompts: verdict.morePrompts };
}

/** Numbers with mean 0 and variance 1, nearly normal: twelve equally distributed ones added up. */
function noise(seed: number): () => number {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return () => Array.from({ length: 12 }, uniform).reduce((sum, value) => sum + value, -6);
}

describe("a verdict", () => {
  test.each([
    ["pays", [[1.3], [1.35], [1.25], [1.4]]],
    ["loses", [[0.8], [0.85], [0.75], [0.82]]],
    ["equal", [[1.001], [0.999], [1.002], [0.998]]],
    // A gain of one per cent is shown, and is none that a user would notice.
    ["equal", [[1.01], [1.011], [1.009], [1.01]]],
    ["unknown", [[0.8], [1.3], [0.9], [1.2]]],
  ] as const)("%s for ratios of %j", (kind, ratios) => {
    expect(verdictOf(ratios).kind).toBe(kind);
  });

  test("is unknown without anything measured, and nothing helps to say how long it would take", () => {
    expect(judge([], comparison, 0)).toEqual({
      kind: "unknown",
      estimate: undefined,
      moreMs: undefined,
      morePrompts: undefined,
    });
  });
});

describe("what would show a difference", () => {
  test("time, where the passes of each prompt differ and the prompts do not", () => {
    const noisy = [
      [0.8, 1.5],
      [1.4, 0.9],
      [0.75, 1.1],
      [1.5, 1.05],
      [1.3, 0.8],
    ];
    const { moreMs, morePrompts } = more(verdictOf(noisy));
    expect(morePrompts).toBeUndefined();
    expect(moreMs).toBeGreaterThan(minute);
    expect(more(verdictOf(noisy, 2 * minute)).moreMs).toBeCloseTo(2 * (moreMs ?? 0), 3);
  });

  test("more prompts, where prompts differ and their passes agree", () => {
    const mixed = [
      [0.8, 0.801],
      [1.3, 1.301],
      [0.9, 0.899],
      [1.2, 1.199],
    ];
    const { moreMs, morePrompts } = more(verdictOf(mixed));
    expect(moreMs).toBeUndefined();
    expect(morePrompts).toBeGreaterThan(10);
  });

  test("the number of prompts is one that does show it, if they are like these", () => {
    const mixed = [
      [0.9, 0.901],
      [1.3, 1.301],
      [0.95, 0.949],
      [1.2, 1.199],
      [1.4, 1.401],
      [0.93, 0.929],
    ];
    const { morePrompts = 0 } = more(verdictOf(mixed));
    const enough = Array.from({ length: mixed.length + morePrompts }, (_, index) => mixed[index % mixed.length] ?? []);
    expect(verdictOf(enough).kind).toBe("pays");
    expect(verdictOf(enough.slice(0, mixed.length + Math.floor(morePrompts / 2))).kind).toBe("unknown");
  });

  test("the time does show it, mostly, when the speeds stay like these", () => {
    const speedup = 1.1;
    const random = noise(7);
    /** Passes of eight prompts that differ in nothing but chance. */
    const measure = (passes: number) =>
      Array.from({ length: 8 }, () => Array.from({ length: passes }, () => speedup * Math.exp(0.3 * random())));
    let unknown = 0;
    let shown = 0;
    for (let run = 0; run < 100; run += 1) {
      const first = measure(2);
      const verdict = verdictOf(first);
      if (verdict.kind !== "unknown" || verdict.moreMs === undefined) continue;
      unknown += 1;
      const passes = Math.ceil((2 * verdict.moreMs) / minute);
      const more = measure(passes);
      const kind = verdictOf(first.map((its, prompt) => [...its, ...(more[prompt] ?? [])])).kind;
      if (kind !== "unknown") shown += 1;
    }
    expect(unknown).toBeGreaterThan(30);
    expect(shown / unknown).toBeGreaterThan(0.6);
  });

  test("at least one pass more, also where chance made the passes equal", () => {
    expect(more(verdictOf([[1.2]]))).toEqual({ moreMs: minute, morePrompts: undefined });
  });

  test("time alone with fewer than four prompts, since only these are judged", () => {
    const { moreMs, morePrompts } = more(
      verdictOf([
        [0.7, 1.5],
        [1.4, 0.8],
      ]),
    );
    expect(moreMs).toBeGreaterThan(0);
    expect(morePrompts).toBeUndefined();
  });
});

test("the spread of an estimate is half its interval, as a share", () => {
  expect(spreadOf({ ratio: 1, low: 1 / 1.09, high: 1.09, prompts: 8 })).toBeCloseTo(0.09, 12);
});
