import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { BenchEvent } from "../../../../src/bench/bench-event.ts";
import { type FinalsOptions, measureFinalists } from "../../../../src/bench/tune/measure-finalists.ts";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { FakeContest, FakeKeeper, makeMeasurement, makePrompts } from "../../../support/fake-contest.ts";

const contestant = (label: string) => ({ label, remembers: false });

/** Milliseconds of 100 tokens by label; `noise` is the largest change of one, as a share. */
interface Simulated {
  readonly speeds: Readonly<Record<string, number>>;
  readonly noise?: number;
  readonly seed?: number;
}

/** Numbers from -1 to 1 that depend on the seed alone (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
}

async function measure({ speeds, noise = 0, seed = 1 }: Simulated, options: Partial<FinalsOptions> = {}) {
  const random = randomNumbers(seed);
  let nowMs = 0;
  const contest = new FakeContest((label) => {
    const ms = (speeds[label] ?? Number.NaN) * (1 + noise * random());
    nowMs += ms;
    return makeMeasurement(ms);
  });
  const keeper = new FakeKeeper();
  const events: BenchEvent[] = [];
  const result = await measureFinalists({
    none: contestant("none"),
    finalists: Object.keys(speeds)
      .filter((label) => label !== "none")
      .map(contestant),
    prompts: makePrompts(16),
    concurrency: 1,
    isInterleaved: true,
    timing: "wall",
    contest,
    keeper,
    limitMs: 10_000_000,
    signal: new AbortController().signal,
    onEvent: (event) => events.push(event),
    clock: { nowMs: () => nowMs, sleep: async () => undefined, setTimer: () => () => undefined },
    ...options,
  });
  return { ...result, contest, rounds: keeper.rounds, events };
}

const askedOf = (calls: readonly string[], label: string) =>
  calls.filter((call) => call.startsWith(`${label}: `)).length;

describe("finalists", () => {
  test("that are slower are dropped after a quarter of the prompts, and only the best answers all", async () => {
    const { end, dropped, contest } = await measure({ speeds: { none: 1000, a: 500, b: 800, c: 1200 } });
    expect(end).toBe("precise");
    expect(Object.fromEntries(dropped)).toEqual({
      b: "slower than a with 95 % confidence",
      c: "slower than a with 95 % confidence",
    });
    expect(["none", "a", "b", "c"].map((label) => askedOf(contest.calls, label))).toEqual([16, 16, 4, 4]);
  });

  test("that are equally fast stay, and are enough as soon as each prompt was asked", async () => {
    const { end, dropped, rounds } = await measure({ speeds: { none: 1000, a: 500, b: 500 } });
    expect([end, dropped.size, rounds.length]).toEqual(["precise", 0, 16]);
  });

  test("that all lose are decided, too", async () => {
    const { end, dropped } = await measure({ speeds: { none: 1000, a: 1300, b: 2000 } });
    expect([end, [...dropped.keys()]]).toEqual(["precise", ["b"]]);
  });

  test("answer all prompts at once where servers take turns", async () => {
    const { contest } = await measure({ speeds: { none: 1000, a: 500, b: 800 } }, { isInterleaved: false });
    expect(askedOf(contest.calls, "b")).toBe(16);
  });

  test("end after one pass where servers take turns: the next one would load all models again", async () => {
    const { end, rounds } = await measure({ speeds: { none: 1000, a: 1000 }, noise: 0.3 }, { isInterleaved: false });
    expect([end, rounds.length]).toEqual(["loads-used-up", 16]);
  });

  test("whose server remembers prompts are loaded a second time only when they lead", async () => {
    const ngram = { label: "ngram", remembers: true };
    const both = { finalists: [ngram, contestant("a")] };
    const behind = await measure({ speeds: { none: 1000, ngram: 850, a: 800 }, noise: 0.3 }, both);
    expect(behind.dropped.get("ngram")).toBe("slower than a so far, and a further pass would load it again");
    expect(behind.contest.calls).not.toContain("renew ngram");
    const ahead = await measure({ speeds: { none: 1000, ngram: 990 }, noise: 0.9 }, { finalists: [ngram] });
    expect([ahead.end, ahead.rounds.length]).toEqual(["loads-used-up", 32]);
    expect(ahead.contest.calls.filter((call) => call === "renew ngram")).toHaveLength(1);
  });

  test("of few prompts answer all of them", async () => {
    const { rounds } = await measure({ speeds: { none: 1000, a: 500 } }, { prompts: makePrompts(3) });
    expect(new Set(rounds.map(({ promptId }) => promptId)).size).toBe(3);
  });

  test("are told of with the best so far and how many are left", async () => {
    const { events } = await measure({ speeds: { none: 1000, a: 500, b: 800 } });
    const told = events.map((event) => (event.kind === "round" ? event.soFar : ""));
    expect(told[0]).toBe("2 left");
    expect(told[3]).toMatch(/^a: 2\.00 × .*, 2 left$/);
    expect(told.at(-1)).toMatch(/^a: 2\.00 × .*, 1 left$/);
  });

  test("have no answer after an abort before the first round", async () => {
    const { end, rounds } = await measure({ speeds: { none: 1000, a: 500 } }, { signal: AbortSignal.abort() });
    expect([end, rounds]).toEqual(["interrupted", []]);
  });

  test("are known so far when a server dies again and again", async () => {
    let asked = 0;
    const contest = new FakeContest(() => {
      asked += 1;
      if (asked > 5) throw new LlmctlError("bench-server-died", "it is gone", { exit: "failed" });
      return makeMeasurement(500);
    });
    const { end, notes } = await measure({ speeds: { none: 1000, a: 500 } }, { contest });
    expect({ end, notes }).toEqual({ end: "server-died", notes: ["it is gone"] });
  });
});

const labels = ["a", "b", "c"];
const simulated = fc.record({
  times: fc.array(fc.double({ min: 400, max: 1600, noNaN: true }), { minLength: 1, maxLength: 3 }),
  noise: fc.double({ min: 0, max: 0.05, noNaN: true }),
  seed: fc.integer(),
});

describe("with any speeds", () => {
  test("the fastest is never dropped while the noise is smaller than its lead, and the search ends", async () => {
    await fc.assert(
      fc.asyncProperty(simulated, async ({ times, noise, seed }) => {
        const sorted = times.toSorted((a, b) => a - b);
        const lead = (sorted[1] ?? Infinity) / (sorted[0] ?? 1);
        fc.pre(lead > (1 + noise) / (1 - noise));
        const speeds = { none: 1000, ...Object.fromEntries(times.map((ms, index) => [labels[index] ?? "", ms])) };
        const limitMs = 2_000_000;
        const { end, dropped, elapsedMs } = await measure({ speeds, noise, seed }, { limitMs });
        const best = labels[times.indexOf(sorted[0] ?? 0)] ?? "";
        expect([...dropped.keys()]).not.toContain(best);
        expect(["precise", "time-over"]).toContain(end);
        // A round that has begun is finished.
        expect(elapsedMs).toBeLessThan(limitMs + 4 * 1600 * 1.05);
      }),
    );
  });

  test("what is a tenth slower than the fastest is dropped", async () => {
    await fc.assert(
      fc.asyncProperty(simulated, async ({ times, seed }) => {
        const best = Math.min(...times);
        const speeds = { none: 1000, ...Object.fromEntries(times.map((ms, index) => [labels[index] ?? "", ms])) };
        const { dropped } = await measure({ speeds, noise: 0.01, seed }, { limitMs: 2_000_000 });
        const slow = times.flatMap((ms, index) => (ms > best * 1.1 ? [labels[index]] : []));
        expect([...dropped.keys()]).toEqual(expect.arrayContaining(slow));
      }),
    );
  });
});
