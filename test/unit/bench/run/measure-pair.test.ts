import { describe, expect, test } from "vitest";
import type { BenchEvent } from "../../../../src/bench/bench-event.ts";
import type { FailedRequest, Measurement } from "../../../../src/bench/measurement.ts";
import { measurePair, type MeasurePairOptions } from "../../../../src/bench/run/measure-pair.ts";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { FakeContest, FakeKeeper, makeMeasurement, makePrompts } from "../../../support/fake-contest.ts";

const contestants = [
  { label: "none", remembers: false },
  { label: "profile", remembers: false },
];

/** A clock that a second passes with each look. */
function ticking() {
  let nowMs = 0;
  return { nowMs: () => (nowMs += 1000), sleep: async () => undefined, setTimer: () => () => undefined };
}

async function measure(
  msOf: (label: string, asked: number) => Measurement | FailedRequest,
  options: Partial<MeasurePairOptions> = {},
) {
  let asked = 0;
  const events: BenchEvent[] = [];
  const contest = new FakeContest((label) => msOf(label, asked++));
  const keeper = new FakeKeeper();
  const pair = await measurePair({
    comparison: { first: "none", second: "profile", timing: "wall" },
    contestants,
    prompts: makePrompts(5),
    concurrency: 1,
    isInterleaved: true,
    contest,
    keeper,
    limitMs: 1_000_000,
    signal: new AbortController().signal,
    onEvent: (event) => events.push(event),
    clock: ticking(),
    ...options,
  });
  return { pair, contest, keeper, events };
}

const steady = (label: string) => makeMeasurement(label === "none" ? 1000 : 500);
const failing = { error: "the prompt is longer than the context" };

describe("a pair", () => {
  test("of steady speeds is known when each prompt was asked once", async () => {
    const { pair, keeper, events } = await measure(steady);
    expect(pair).toEqual({ end: "precise", elapsedMs: expect.any(Number) as number, notes: [] });
    expect(keeper.rounds).toHaveLength(5);
    expect(events[0]).toEqual({
      kind: "round",
      doneMs: expect.any(Number) as number,
      limitMs: 1_000_000,
      soFar: "1 round",
    });
    expect(events.at(-1)).toMatchObject({ soFar: expect.stringMatching(/^2\.00 × .* after 5 rounds$/) as string });
  });

  test("of speeds that vary is asked until the time is over, which no event exceeds", async () => {
    const varying = (label: string, asked: number) =>
      makeMeasurement(label === "none" ? 1000 : 300 + 400 * ((asked * 7) % 5));
    const { pair, keeper, events } = await measure(varying, { limitMs: 60_000 });
    expect(pair.end).toBe("time-over");
    expect(keeper.rounds.length).toBeGreaterThan(5);
    expect(events.every((event) => event.kind === "round" && event.doneMs <= event.limitMs)).toBe(true);
  });

  test("goes on with the others when a prompt fails", async () => {
    const { pair, keeper } = await measure((label, asked) => (asked < 2 ? failing : steady(label)));
    expect(pair.end).toBe("precise");
    expect(keeper.rounds).toHaveLength(5);
  });

  test("is no result when no prompt was answered by both, and the first failure says why", async () => {
    const asked = measure((label) => (label === "none" ? failing : steady(label)));
    await expect(asked).rejects.toMatchObject({
      code: "bench-nothing-measured",
      message: "no prompt was answered by both servers",
      at: failing.error,
    });
  });

  test("keeps what it has after an abort, also before the first round", async () => {
    const abort = new AbortController();
    const stop = (label: string, asked: number) => {
      if (asked === 3) abort.abort();
      return steady(label);
    };
    const { pair, keeper } = await measure(stop, { signal: abort.signal });
    expect(pair.end).toBe("interrupted");
    expect(keeper.rounds).toHaveLength(2);
    expect((await measure(steady, { signal: AbortSignal.abort() })).pair.end).toBe("interrupted");
  });

  test.each<[string, number, string]>([
    ["a server that dies again and again ends it with what it has", 4, "bench-server-died"],
    ["without a whole round that is its error", 1, "bench-server-died"],
    ["another error is never taken for a result", 4, "spawn-failed"],
  ])("%s", async (_, survives, code) => {
    const dying = (label: string, asked: number) => {
      if (asked >= survives) throw new LlmctlError(code, "it is gone", { exit: "failed" });
      return steady(label);
    };
    if (survives > 2 && code === "bench-server-died")
      expect((await measure(dying)).pair).toMatchObject({ end: "server-died", notes: ["it is gone"] });
    else await expect(measure(dying)).rejects.toMatchObject({ code });
  });
});
