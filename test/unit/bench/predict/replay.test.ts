import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DraftTrace } from "../../../../src/llama/server/draft-trace.ts";
import { DraftReplay, type DraftSetting, type ReplayedCycle } from "../../../../src/bench/predict/replay.ts";
import { hashDrafter, simulate, traceOf } from "../../../support/simulated-drafting.ts";

const setting = fc.record({
  nMax: fc.integer({ min: 1, max: 16 }),
  nMin: fc.integer({ min: 0, max: 3 }),
  pMin: fc.integer({ min: 0, max: 19 }).map((step) => step / 20),
});
const answer = fc
  .record({
    text: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 60 }),
    // An answer ends by its limit, or before it.
    spare: fc.integer({ min: 0, max: 30 }),
  })
  .map(({ text, spare }) => ({ text, room: text.length + spare }));
const drafter = fc.record({ rightRate: fc.double({ min: 0, max: 1, noNaN: true }), seed: fc.nat() });

describe("a replay", () => {
  test("is what the server would have done, wherever the trace tells everything", () => {
    fc.assert(
      fc.property(fc.array(answer, { maxLength: 4 }), drafter, setting, (answers, { rightRate, seed }, other) => {
        const traced = { nMax: 200, nMin: 0, pMin: 0 };
        const drafters = answers.map(({ text }) => hashDrafter(text, rightRate, seed));
        const run = (its: DraftSetting) =>
          answers.map((one, index) => ({ ...one, ...simulate(one, drafters[index] ?? expect.fail(), its) }));
        const replay = new DraftReplay(traceOf(run(traced)));
        expect(replay.replay(other)).toEqual(run(other).map(({ cycles }) => cycles));
      }),
    );
  });

  test("of a trace with n_max 16 is right up to the first step with something unknown", () => {
    let known = 0;
    fc.assert(
      fc.property(answer, drafter, setting, (one, { rightRate, seed }, other) => {
        const its = hashDrafter(one.text, rightRate, seed);
        const traced = simulate(one, its, { nMax: 16, nMin: 0, pMin: 0 });
        const [replayed = []] = new DraftReplay(traceOf([{ ...one, ...traced }])).replay(other);
        const unknown = replayed.findIndex((cycle) => cycle.unknown > 0);
        const end = unknown < 0 ? replayed.length : unknown;
        known += end;
        const truth = simulate(one, its, other).cycles;
        expect(replayed.slice(0, end)).toEqual(truth.slice(0, end));
        if (unknown < 0) expect(replayed).toEqual(truth);
      }),
    );
    expect(known).toBeGreaterThan(0);
  });

  test("of the trace's own setting tells everything, whatever that was", () => {
    fc.assert(
      fc.property(answer, drafter, setting, (one, { rightRate, seed }, its) => {
        const traced = simulate(one, hashDrafter(one.text, rightRate, seed), its);
        const [replayed = []] = new DraftReplay(traceOf([{ ...one, ...traced }])).replay(its);
        expect(replayed).toEqual(traced.cycles);
      }),
    );
  });

  test("covers each answer exactly once, whatever is unknown", () => {
    fc.assert(
      fc.property(answer, drafter, setting, setting, (one, { rightRate, seed }, its, other) => {
        const traced = simulate(one, hashDrafter(one.text, rightRate, seed), its);
        const [replayed = []] = new DraftReplay(traceOf([{ ...one, ...traced }])).replay(other);
        expect(replayed.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(one.text.length - 1);
        for (const { drafted, accepted, evaluations, tokens } of replayed) {
          expect(accepted).toBeLessThanOrEqual(drafted);
          expect(drafted).toBeLessThanOrEqual(other.nMax);
          expect(evaluations).toBeLessThanOrEqual(other.nMax);
          expect(evaluations).toBeGreaterThanOrEqual(drafted);
          expect(tokens - accepted).toBeLessThanOrEqual(1);
        }
      }),
    );
  });
});

describe("what the trace does not tell", () => {
  const sure = (token: number) => ({ token, probability: 0.9 });
  const step = (candidates: readonly number[], tokens: readonly number[], mostDraft = 50) => ({
    mostDraft,
    candidates: candidates.map(sure),
    drafted: candidates.length,
    accepted: tokens.length - 1,
    tokens,
  });
  const trace = (cycles: DraftTrace["answers"][number]["cycles"], type = "draft-simple"): DraftTrace => ({
    type,
    answers: [{ task: 0, firstToken: 1, cycles }],
    leftOut: 0,
    restoresCheckpoints: false,
  });
  const replay = (its: DraftTrace, other: Partial<DraftSetting>): readonly ReplayedCycle[] | undefined =>
    new DraftReplay(its).replay({ nMax: 3, nMin: 0, pMin: 0, ...other })[0];

  test("after a right candidate another one stands in, and the draft goes on with the next step's row", () => {
    const its = trace([step([2, 3], [2, 3, 4]), step([5, 6], [5, 6, 7])]);
    expect(replay(its, { nMax: 4 })).toEqual([
      { drafted: 4, accepted: 4, evaluations: 4, tokens: 5, unknown: 1 },
      { drafted: 4, accepted: 1, evaluations: 4, tokens: 1, unknown: 4 },
    ]);
  });

  test("a stand-in that is too improbable ends the draft", () => {
    const improbable = { ...step([2, 3], [2, 3, 4]), candidates: [sure(2), { token: 3, probability: 0.2 }] };
    const its = trace([improbable, step([5], [5, 6])]);
    expect(replay(its, { pMin: 0.5 })?.[1]).toEqual({ drafted: 0, accepted: 0, evaluations: 1, tokens: 1, unknown: 1 });
  });

  test("after a wrong candidate the draft goes on to its limit", () => {
    expect(replay(trace([step([9, 9], [2]), step([9], [3])]), { nMax: 3 })).toEqual([
      { drafted: 3, accepted: 0, evaluations: 3, tokens: 1, unknown: 1 },
      { drafted: 3, accepted: 0, evaluations: 3, tokens: 1, unknown: 2 },
    ]);
  });

  test("MTP drafts beyond the end of the answer, and what has no room is not checked", () => {
    const its = trace([{ ...step([2, 3], [2]), drafted: 1, accepted: 1, mostDraft: 1 }], "draft-mtp");
    expect(replay(its, { nMax: 2 })).toEqual([{ drafted: 1, accepted: 1, evaluations: 2, tokens: 1, unknown: 0 }]);
  });

  test("a rejected candidate is wrong although the target then chose the same token, by synthetic acceptance", () => {
    const its = trace([step([2, 3, 4], [2, 3]), step([4, 5], [4])]);
    expect(replay(its, { nMax: 2 })).toEqual([
      { drafted: 2, accepted: 1, evaluations: 2, tokens: 2, unknown: 0 },
      { drafted: 2, accepted: 0, evaluations: 2, tokens: 1, unknown: 0 },
    ]);
  });

  test("a trace without answers has no steps", () => {
    expect(new DraftReplay({ ...trace([]), answers: [] }).replay({ nMax: 3, nMin: 0, pMin: 0 })).toEqual([]);
    expect(replay(trace([]), {})).toEqual([]);
  });
});
