import { describe, expect, test } from "vitest";
import { type ContestServer, ServerContest } from "../../../../src/bench/servers/server-contest.ts";
import { makeMeasurement, makePrompts } from "../../../support/fake-contest.ts";

const { signal } = new AbortController();

const none = { waitMs: 0, cpuMs: 0 };

/** Servers that note what happens to them. */
function setUp(capacity: number) {
  const calls: string[] = [];
  const dying = new Set<string>();
  const times = new Map<string, { waitMs: number | null; cpuMs: number | null }>();
  const deaths: string[] = [];
  const start = async (label: string): Promise<ContestServer> => {
    calls.push(`start ${label}`);
    let isDead = false;
    return {
      ask: async (prompts) => {
        calls.push(`ask ${label}`);
        isDead = dying.has(label);
        return prompts.map(() => (isDead ? { error: `${label} hung up` } : makeMeasurement(1)));
      },
      hasDied: () => isDead,
      readWaitMs: () => (times.get(label) ?? none).waitMs,
      readCpuMs: () => (times.get(label) ?? none).cpuMs,
      stop: async () => void calls.push(`stop ${label}`),
    };
  };
  const contest = new ServerContest({ start, capacity, onDeath: (label) => deaths.push(label) });
  return { contest, calls, dying, deaths, times, ask: (label: string) => contest.ask(label, makePrompts(1), signal) };
}

describe("the servers of a contest", () => {
  test("start when they are first asked, and run on", async () => {
    const { calls, contest, ask } = setUp(2);
    for (const label of ["a", "b", "a"]) await ask(label);
    expect(calls).toEqual(["start a", "ask a", "start b", "ask b", "ask a"]);
    expect(contest.loads).toBe(2);
  });

  test("make room: the one that was asked longest ago stops first", async () => {
    const { calls, ask } = setUp(2);
    for (const label of ["a", "b", "a", "c"]) await ask(label);
    expect(calls.slice(-3)).toEqual(["stop b", "start c", "ask c"]);
  });

  test("take turns where there is room for one", async () => {
    const { calls, ask } = setUp(1);
    for (const label of ["a", "b"]) await ask(label);
    expect(calls).toEqual(["start a", "ask a", "stop a", "start b", "ask b"]);
  });

  test("are started again after a death, and only the answers of that moment are lost", async () => {
    const { calls, dying, deaths, ask } = setUp(2);
    dying.add("a");
    expect(await ask("a")).toEqual([{ error: "a hung up" }]);
    dying.delete("a");
    expect(await ask("a")).toEqual([makeMeasurement(1)]);
    expect(calls).toEqual(["start a", "ask a", "stop a", "start a", "ask a"]);
    expect(deaths).toEqual(["a"]);
  });

  test("are given up after three deaths in a row", async () => {
    const { dying, ask } = setUp(2);
    dying.add("a");
    await ask("a");
    await ask("a");
    dying.delete("a");
    await ask("a");
    dying.add("a");
    await ask("a");
    await ask("a");
    await expect(ask("a")).rejects.toMatchObject({
      code: "bench-server-died",
      exit: "failed",
      message: 'the server "a" dies again and again',
      at: "a hung up",
    });
  });

  test("stop at the end", async () => {
    const { contest, calls, ask } = setUp(2);
    for (const label of ["a", "b"]) await ask(label);
    await contest[Symbol.asyncDispose]();
    expect(calls.slice(-2)).toEqual(["stop a", "stop b"]);
  });
});

describe("the share of waiting for a processor", () => {
  test("is that of the time since the last question, over all servers that run", async () => {
    const { contest, times, ask } = setUp(2);
    times.set("a", { waitMs: 100, cpuMs: 900 });
    for (const label of ["a", "b"]) await ask(label);
    expect(contest.readWaitShare()).toBe(0.1);
    times.set("a", { waitMs: 150, cpuMs: 950 });
    times.set("b", { waitMs: 50, cpuMs: 50 });
    expect(contest.readWaitShare()).toBe(0.5);
    expect(contest.readWaitShare()).toBeNull();
  });

  test("counts a new server from its own start", async () => {
    const { contest, times, ask } = setUp(2);
    times.set("a", { waitMs: 100, cpuMs: 900 });
    await ask("a");
    contest.readWaitShare();
    await contest.renew("a");
    times.set("a", { waitMs: 30, cpuMs: 10 });
    await ask("a");
    expect(contest.readWaitShare()).toBe(0.75);
  });

  test("is not known where the system does not tell", async () => {
    const { contest, times, ask } = setUp(2);
    times.set("a", { waitMs: null, cpuMs: 10 });
    await ask("a");
    expect(contest.readWaitShare()).toBeNull();
  });
});
