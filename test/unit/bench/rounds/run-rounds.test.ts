import { describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import type { Round } from "../../../../src/bench/measurement.ts";
import { isWhole, runRounds, type RoundsOptions } from "../../../../src/bench/rounds/run-rounds.ts";
import { FakeContest, FakeKeeper, makeMeasurement, makePrompts } from "../../../support/fake-contest.ts";

const plain = [
  { label: "a", remembers: false },
  { label: "b", remembers: false },
];

function setUp(more: Partial<RoundsOptions> = {}) {
  const contest = new FakeContest((label) => makeMeasurement(label === "a" ? 100 : 50));
  const keeper = new FakeKeeper();
  const options: RoundsOptions = {
    contestants: plain,
    prompts: makePrompts(3),
    concurrency: 1,
    isInterleaved: true,
    contest,
    keeper,
    isEnough: () => false,
    limitMs: Infinity,
    mostPasses: 1,
    signal: new AbortController().signal,
    ...more,
  };
  return { contest, keeper, options };
}

describe("servers that run at the same time", () => {
  test("are asked each prompt one right after the other, in an order that turns", async () => {
    const { contest, keeper, options } = setUp();
    expect(await runRounds(options)).toBe("passes-done");
    expect(contest.calls).toEqual(["a: p0", "b: p0", "b: p1", "a: p1", "a: p2", "b: p2"]);
    expect(keeper.rounds.map(({ promptId, pass, order }) => [promptId, pass, order.join("")])).toEqual([
      ["p0", 0, "ab"],
      ["p1", 0, "ba"],
      ["p2", 0, "ab"],
    ]);
    expect(keeper.rounds[0]?.results).toEqual({ a: makeMeasurement(100), b: makeMeasurement(50) });
  });

  test("are asked several prompts at the same time where the profile serves several", async () => {
    const { contest, keeper, options } = setUp({ concurrency: 2 });
    await runRounds(options);
    expect(contest.calls).toEqual(["a: p0 p1", "b: p0 p1", "a: p2", "b: p2"]);
    expect(keeper.rounds.map(({ promptId }) => promptId)).toEqual(["p0", "p1", "p2"]);
  });

  test("are replaced before they see a prompt again, where they remember", async () => {
    const contestants = [
      { label: "a", remembers: false },
      { label: "b", remembers: true },
    ];
    const { contest, options } = setUp({ contestants, prompts: makePrompts(1), mostPasses: 3 });
    await runRounds(options);
    expect(contest.calls).toEqual(["a: p0", "b: p0", "renew b", "b: p0", "a: p0", "renew b", "a: p0", "b: p0"]);
  });

  test("keep the share of time for which they waited for a processor", async () => {
    const { contest, keeper, options } = setUp({ prompts: makePrompts(1) });
    contest.waitShare = 0.25;
    await runRounds(options);
    expect(keeper.rounds[0]?.waitShare).toBe(0.25);
  });
});

describe("servers that take turns", () => {
  test("answer all prompts of a pass before the next one starts; the order turns each pass", async () => {
    const { contest, keeper, options } = setUp({ isInterleaved: false, prompts: makePrompts(2), mostPasses: 2 });
    expect(await runRounds(options)).toBe("passes-done");
    expect(contest.calls).toEqual(["a: p0", "a: p1", "b: p0", "b: p1", "b: p0", "b: p1", "a: p0", "a: p1"]);
    expect(keeper.rounds.map(({ promptId, pass }) => `${promptId} ${pass}`)).toEqual(["p0 0", "p1 0", "p0 1", "p1 1"]);
  });

  test("go on after the last answer, when a pass was interrupted", async () => {
    const interrupt = new AbortController();
    const first = setUp({ isInterleaved: false, prompts: makePrompts(2), signal: interrupt.signal });
    const ask = first.contest.ask.bind(first.contest);
    first.contest.ask = async (label, prompts, signal) => {
      const results = await ask(label, prompts, signal);
      if (label === "b") interrupt.abort();
      return results;
    };
    expect(await runRounds(first.options)).toBe("interrupted");
    expect(first.contest.calls).toEqual(["a: p0", "a: p1", "b: p0"]);
    // What both have answered is a result, also when the pass is not over.
    expect(first.keeper.rounds.map(({ promptId }) => promptId)).toEqual(["p0"]);

    const second = setUp({ isInterleaved: false, prompts: makePrompts(2), keeper: first.keeper });
    expect(await runRounds(second.options)).toBe("passes-done");
    expect(second.contest.calls).toEqual(["b: p1"]);
    expect(first.keeper.rounds.map(({ promptId }) => promptId)).toEqual(["p0", "p1"]);
  });
});

describe("servers that take turns, with more prompts than there is time for,", () => {
  /** Each answer takes 100 ms, each load 10 s. */
  function setUpSlow(prompts: number, limitMs: number) {
    let nowMs = 0;
    let loaded: string | undefined;
    const made = setUp({ isInterleaved: false, prompts: makePrompts(prompts), limitMs, clock: { nowMs: () => nowMs } });
    const ask = made.contest.ask.bind(made.contest);
    made.contest.ask = async (label, asked, signal) => {
      nowMs += loaded === label ? 100 : 10_100;
      loaded = label;
      return ask(label, asked, signal);
    };
    return made;
  }

  test("all answer as many as the first one in its share of the time", async () => {
    const { keeper, contest, options } = setUpSlow(50, 12_000);
    expect(await runRounds(options)).toBe("time-over");
    // 1900 ms are left behind the first load and answer, half of which are for the first one.
    expect(keeper.rounds).toHaveLength(11);
    expect(keeper.rounds.every(isWhole)).toBe(true);
    expect(contest.calls.filter((call) => call.startsWith("a"))).toHaveLength(11);
  });

  test("all answer so many that something can be said", async () => {
    const { keeper, options } = setUpSlow(50, 1);
    expect(await runRounds(options)).toBe("time-over");
    expect(keeper.rounds).toHaveLength(4);
  });

  test("go on with the others when they are asked again", async () => {
    const first = setUpSlow(8, 1);
    await runRounds(first.options);
    const second = setUp({ isInterleaved: false, prompts: makePrompts(8), keeper: first.keeper });
    expect(await runRounds(second.options)).toBe("passes-done");
    expect(second.contest.calls[0]).toBe("a: p4");
    expect(first.keeper.rounds.map(({ promptId }) => promptId)).toEqual(makePrompts(8).map(({ id }) => id));
  });
});

test("what is kept of a pass in turns grows with its prompts, not with their square", async () => {
  const { keeper, options } = setUp({ isInterleaved: false, prompts: makePrompts(100) });
  const sizes: number[] = [];
  const put = keeper.put.bind(keeper);
  keeper.put = async (name, value) => {
    sizes.push(JSON.stringify(value).length);
    await put(name, value);
  };
  await runRounds(options);
  expect(Math.max(...sizes)).toBeLessThan(500);
});

describe.each([true, false])("rounds, interleaved: %s,", (isInterleaved) => {
  test("end after the one that is enough", async () => {
    const { keeper, options } = setUp({
      isInterleaved,
      prompts: makePrompts(2),
      mostPasses: Infinity,
      isEnough: (rounds) => rounds.length >= 4,
    });
    expect(await runRounds(options)).toBe("enough");
    expect(keeper.rounds).toHaveLength(4);
  });

  test("end when the time is over; a clock that stands still does not end them", async () => {
    let nowMs = 0;
    const { keeper, options } = setUp({
      isInterleaved,
      prompts: makePrompts(2),
      mostPasses: Infinity,
      limitMs: 1000,
      clock: { nowMs: () => nowMs },
      onRound: () => (nowMs += 300),
    });
    expect(await runRounds(options)).toBe("time-over");
    expect(keeper.rounds).toHaveLength(4);
  });

  test("are not made again where they are kept", async () => {
    const once = setUp({ isInterleaved });
    await runRounds(once.options);
    const again = setUp({ isInterleaved, keeper: once.keeper });
    expect(await runRounds(again.options)).toBe("passes-done");
    expect(again.contest.calls).toEqual([]);
  });

  test("are made again where one of the contestants did not take part", async () => {
    const once = setUp({ isInterleaved, prompts: makePrompts(1) });
    await runRounds(once.options);
    const contestants = [...plain, { label: "c", remembers: false }];
    const again = setUp({ isInterleaved, contestants, prompts: makePrompts(1), keeper: once.keeper });
    await runRounds(again.options);
    expect(once.keeper.rounds.map(({ order }) => order.length)).toEqual([2, 3]);
  });

  test("hold what went wrong in the place of a measurement, and go on with the others", async () => {
    const { keeper, options } = setUp({
      isInterleaved,
      contest: new FakeContest((label, { id }) =>
        label === "b" && id === "p1" ? { error: "the server died" } : makeMeasurement(50),
      ),
    });
    expect(await runRounds(options)).toBe("passes-done");
    expect(keeper.rounds.map(isWhole)).toEqual([true, false, true]);
    expect(keeper.rounds[1]?.results["b"]).toEqual({ error: "the server died" });
  });

  test("keep what they have when a server cannot be started", async () => {
    const { contest, keeper, options } = setUp({ isInterleaved, mostPasses: 2, prompts: makePrompts(1) });
    const failure = new LlmctlError("bench-server-died", "out of memory", { exit: "failed" });
    const ask = contest.ask.bind(contest);
    contest.ask = async (label, prompts, signal) => {
      if (contest.calls.length === 2) throw failure;
      return ask(label, prompts, signal);
    };
    await expect(runRounds(options)).rejects.toBe(failure);
    expect(keeper.rounds.map(({ pass }: Round) => pass)).toEqual([0]);
  });
});
