import { describe, expect, test } from "vitest";
import type { ExitCause, Launch } from "../../../src/supervisor/launch.ts";
import { isLive, next } from "../../../src/supervisor/machine.ts";
import type { Event, Machine, State } from "../../../src/supervisor/machine-types.ts";
import { badFlag, crashed, makeLaunch, notThere } from "../../support/make-launch.ts";

const launch = makeLaunch();
const never = makeLaunch({ restart: { ...launch.restart, policy: "never" } });
const undrafted = makeLaunch({ proof: { wanted: false, reason: "not asked" } });
const strict = makeLaunch({ proof: { wanted: true, onFailure: "fail" } });

function inState(state: State, failuresMs: readonly number[] = []): Machine {
  return { state, epoch: 1, failuresMs, postponements: 0, isPatient: false };
}

function exited(cause: ExitCause, nowMs = 0, random = 0.5): Event {
  return { type: "exited", epoch: 1, cause, nowMs, random };
}

const ready: State = { name: "ready", failedChecks: 0 };
const draining: State = { name: "stopping", next: "stop", terminations: 0 };
const stopping: State = { name: "stopping", next: "stop", terminations: 1 };
const hurried: State = { name: "stopping", next: "stop", terminations: 2 };
const restarting: State = { name: "stopping", next: "restart", terminations: 1 };
const killing: State = { name: "killing", next: "stop" };
const up: Event = { type: "up" };
const down: Event = { type: "down" };
const restart: Event = { type: "restart" };
const force: Event = { type: "force" };
const deadline: Event = { type: "deadline" };
const good: Event = { type: "health", epoch: 1, health: "ready" };
const bad: Event = { type: "health", epoch: 1, health: "timeout" };
const lost: Event = { type: "lost", epoch: 1, cause: crashed };
const notProved: Event = { type: "not-proved", epoch: 1, cause: badFlag };

/** Effects as short words: `deadline 7000`. */
function effectsOf(machine: Machine, event: Event, by: Launch): string[] {
  return next(machine, event, by).effects.map(({ do: what, ...rest }) => [what, ...Object.values(rest)].join(" "));
}

describe("transitions", () => {
  test.each<[State | State["name"], Event, State["name"], string[], Launch?]>([
    // start
    ["stopped", up, "preflight", ["preflight"]],
    ["preflight", { type: "preflight-passed" }, "starting", ["spawn 2"]],
    ["preflight", { type: "orphan-found" }, "starting", ["adopt 2"]],
    ["loading", { type: "orphan-found" }, "loading", []],
    ["preflight", { type: "preflight-failed", cause: badFlag }, "failed", ["finish config"]],
    ["preflight", { type: "preflight-failed", cause: crashed }, "backoff", ["deadline 1000"]],
    ["preflight", { type: "preflight-failed", cause: crashed }, "failed", ["finish diedBeforeReady"], never],
    ["preflight", { type: "preflight-failed", cause: notThere }, "failed", ["finish missingFile"]],
    ["starting", { type: "spawned", epoch: 1 }, "loading", []],
    ["starting", good, "proving", ["prove"]],
    ["loading", bad, "loading", []],
    ["loading", good, "proving", ["prove"]],
    ["loading", good, "ready", [], undrafted],
    ["proving", { type: "proved", epoch: 1 }, "ready", []],
    ["proving", notProved, "ready", []],
    ["proving", notProved, "stopping", ["terminate", "deadline 7000"], strict],
    // health
    [ready, good, "ready", []],
    [ready, bad, "ready", []],
    [{ name: "ready", failedChecks: 2 }, bad, "unhealthy", []],
    ["unhealthy", bad, "unhealthy", []],
    ["unhealthy", good, "ready", []],
    [ready, lost, "killing", ["kill", "deadline 30000"]],
    ["unhealthy", lost, "killing", ["kill", "deadline 30000"]],
    ["loading", lost, "loading", []],
    ["loading", { type: "stalled", epoch: 1 }, "killing", ["kill", "deadline 30000"]],
    ["proving", { type: "stalled", epoch: 1 }, "proving", []],
    [ready, { type: "hung", epoch: 1 }, "ready", []],
    ["unhealthy", { type: "hung", epoch: 1 }, "killing", ["kill", "deadline 30000"]],
    // unasked exits
    ["loading", exited(crashed), "backoff", ["deadline 1000"]],
    [ready, exited(crashed), "backoff", ["deadline 1000"]],
    ["loading", exited(badFlag), "failed", ["finish config"]],
    [ready, exited(crashed), "failed", ["finish diedBeforeReady"], never],
    [{ name: "backoff", delayMs: 1 }, deadline, "preflight", ["preflight"]],
    // stop
    [ready, down, "stopping", ["drain", "deadline 7000"]],
    ["loading", down, "stopping", ["terminate", "deadline 7000"]],
    ["unhealthy", down, "stopping", ["terminate", "deadline 7000"]],
    [draining, { type: "drained", epoch: 1 }, "stopping", ["terminate"]],
    [stopping, { type: "drained", epoch: 1 }, "stopping", []],
    [ready, { type: "drained", epoch: 1 }, "ready", []],
    [stopping, down, "stopping", []],
    [stopping, exited(crashed), "stopped", ["finish done"]],
    [draining, deadline, "stopping", ["terminate", "deadline 250"]],
    [stopping, deadline, "stopping", ["terminate", "deadline 2000"]],
    [hurried, deadline, "killing", ["kill", "deadline 30000"]],
    [killing, exited(crashed), "stopped", ["finish done"]],
    [killing, deadline, "stuck", []],
    [{ name: "stuck", next: "stop" }, exited(crashed), "stopped", ["finish done"]],
    ["preflight", down, "stopped", ["finish done"]],
    [{ name: "backoff", delayMs: 1 }, down, "stopped", ["finish done"]],
    // restart
    [ready, restart, "stopping", ["drain", "deadline 7000"]],
    [restarting, exited(crashed), "preflight", ["preflight"]],
    [{ name: "backoff", delayMs: 1 }, restart, "preflight", ["preflight"]],
    ["preflight", restart, "preflight", []],
    [{ name: "preflight", again: true }, { type: "preflight-passed" }, "preflight", ["preflight"]],
    [{ name: "preflight", again: true }, { type: "preflight-failed", cause: badFlag }, "preflight", ["preflight"]],
    [{ name: "preflight", again: true }, down, "stopped", ["finish done"]],
    // before the first start
    ["stopped", restart, "preflight", ["preflight"]],
    ["stopped", down, "stopped", ["finish done"]],
    // force
    [ready, force, "killing", ["kill", "deadline 30000"]],
    [stopping, force, "killing", ["kill", "deadline 30000"]],
    [killing, force, "killing", []],
    [{ name: "stuck", next: "stop" }, force, "killing", ["kill", "deadline 30000"]],
    ["stopped", force, "stopped", []],
  ])("%j on %j goes to %s with %j", (from, event, to, effects, by = launch) => {
    const machine = inState(typeof from === "string" ? plain(from) : from);
    expect(next(machine, event, by).machine.state.name).toBe(to);
    expect(effectsOf(machine, event, by)).toEqual(effects);
  });

  test("an event of an earlier spawn changes nothing", () => {
    const machine = { ...inState(ready), epoch: 2 };
    for (const event of [exited(crashed), good, bad, notProved])
      expect(next(machine, event, launch)).toEqual({ machine, effects: [] });
  });

  test("a restart during a preflight repeats it, once", () => {
    const { machine } = next(inState({ name: "preflight" }), restart, launch);
    expect(machine.state).toEqual({ name: "preflight", again: true });
    expect(next(machine, { type: "preflight-passed" }, launch).machine.state).toEqual({ name: "preflight" });
  });

  test("the latest request decides the state after a stop", () => {
    const { machine: stop } = next(inState(restarting), down, launch);
    expect(next(stop, exited(crashed), launch).machine.state.name).toBe("stopped");
    const { machine: again } = next(inState(stopping), restart, launch);
    expect(next(again, exited(crashed), launch).machine.state.name).toBe("preflight");
  });

  test("a server that was killed as stalled is restarted after a backoff, with that cause", () => {
    const { machine } = next(inState({ name: "loading" }), { type: "stalled", epoch: 1 }, launch);
    const after = next(machine, exited(crashed), launch).machine;
    expect(after.state.name).toBe("backoff");
    const failed = next(machine, exited(crashed), never).machine.state;
    expect(failed).toMatchObject({ name: "failed", cause: { kind: "stalled", exit: "notReadyInTime" } });
  });

  test("a failed proof stops the server for good if the launch says so, and stays the cause", () => {
    const { machine } = next(inState({ name: "proving" }), notProved, strict);
    const { state } = next(machine, exited(crashed), strict).machine;
    expect(state).toMatchObject({ name: "failed", cause: badFlag });
  });
});

describe("retries", () => {
  /** The delays after a series of exits at this interval. */
  function delays(by: Launch, exits: number, everyMs: number, random = 0.5): (number | string)[] {
    let machine: Machine = inState(ready);
    return Array.from({ length: exits }, (_, i) => {
      machine = next({ ...machine, state: ready }, exited(crashed, i * everyMs, random), by).machine;
      return machine.state.name === "backoff" ? machine.state.delayMs : machine.state.name;
    });
  }

  test("the delay doubles up to its limit, and the last exit of a crash loop is the end", () => {
    const by = makeLaunch({ restart: { ...launch.restart, maxFailures: 9 } });
    expect(delays(by, 9, 10)).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, "failed"]);
  });

  test("the delay has a jitter of 20 %", () => {
    expect(delays(launch, 2, 10, 0)).toEqual([800, 1600]);
    expect(delays(launch, 2, 10, 1)).toEqual([1200, 2400]);
  });

  test("exits further apart than the window never count together", () => {
    expect(delays(launch, 20, launch.restart.windowMs + 1)).toEqual(Array.from({ length: 20 }, () => 1000));
  });

  test("the error for a crash loop has number, time and cause of the exits", () => {
    const failures = [0, 1000, 2000, 3000];
    const { state } = next(inState(ready, failures), exited({ ...crashed, fix: "try" }, 4000), launch).machine;
    expect(state).toMatchObject({
      cause: {
        kind: "crash-loop",
        message: "crash loop: 5 unexpected exits in 4 s, the last: it crashed",
        fix: "try",
        exit: "crashLoop",
      },
    });
  });

  test.each([restart, up])("after $type earlier exits no longer count", (wish) => {
    const from: State = wish === up ? { name: "failed", cause: crashed } : { name: "backoff", delayMs: 1 };
    expect(next(inState(from, [1, 2, 3]), wish, launch).machine.failuresMs).toEqual([]);
  });
});

test("a process may exist in every state from starting to stuck", () => {
  const names: State["name"][] = ["stopped", "preflight", "backoff", "failed"];
  for (const name of names) expect(isLive(plain(name))).toBe(false);
  for (const state of [
    plain("starting"),
    plain("loading"),
    plain("proving"),
    plain("unhealthy"),
    ready,
    stopping,
    killing,
  ]) {
    expect(isLive(state)).toBe(true);
  }
});

/** A state with only a name. */
function plain(name: State["name"]): State {
  switch (name) {
    case "ready":
      return ready;
    case "failed":
      return { name, cause: crashed };
    case "backoff":
      return { name, delayMs: 1 };
    case "stopping":
      return stopping;
    case "killing":
    case "stuck":
      return { name, next: "stop" };
    case "stopped":
    case "preflight":
    case "starting":
    case "loading":
    case "proving":
    case "unhealthy":
      return { name };
  }
}

test("a start waits for dependencies elsewhere without limit, at growing intervals, and counts no failure", () => {
  const delays: number[] = [];
  let machine = inState({ name: "preflight" });
  for (let i = 0; i < 10; i += 1) {
    machine = next(machine, { type: "preflight-failed", cause: crashed }, launch).machine;
    if (machine.state.name === "backoff") delays.push(machine.state.delayMs);
    machine = next(machine, deadline, launch).machine;
  }
  expect(delays).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000]);
  expect(machine).toMatchObject({ state: { name: "preflight" }, failuresMs: [], postponements: 10 });
  const starting = next(machine, { type: "preflight-passed" }, launch).machine;
  expect(starting).toMatchObject({ state: { name: "starting" }, postponements: 10 });
  expect(next({ ...starting, state: { name: "proving" } }, { type: "proved", epoch: 2 }, launch).machine).toMatchObject(
    { postponements: 0 },
  );
});

describe("a temporary cause", () => {
  const patient = (state: State): Machine => ({ ...inState(state), isPatient: true });
  const refused: Event = { type: "preflight-failed", cause: notThere };

  test.each<[string, State, Event]>([
    ["before a start", { name: "preflight" }, refused],
    ["by the server itself", { name: "loading" }, exited(notThere)],
  ])("is retried if no command watches the start, when it occurs %s", (_, state, event) => {
    const { machine, effects } = next(patient(state), event, launch);
    expect(machine).toMatchObject({
      state: { name: "backoff", delayMs: 1000, waitingFor: notThere },
      failuresMs: [],
      postponements: 1,
    });
    expect(effects).toEqual([{ do: "deadline", ms: 1000 }]);
    expect(next(patient(state), event, never).machine.state.name).toBe("failed");
  });

  test("is retried without limit at growing intervals, even if each start spawns a server", () => {
    const delays: number[] = [];
    let machine = patient({ name: "preflight" });
    for (let i = 0; i < 10; i += 1) {
      machine = next(machine, { type: "preflight-passed" }, launch).machine;
      machine = next(machine, { ...exited(notThere), epoch: machine.epoch } as Event, launch).machine;
      if (machine.state.name === "backoff") delays.push(machine.state.delayMs);
      machine = next(machine, deadline, launch).machine;
    }
    expect(delays).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000]);
    expect(machine.failuresMs).toEqual([]);
  });

  test("is retried once the server has been ready, even after a requested restart", () => {
    const served = next(inState({ name: "loading" }), good, undrafted).machine;
    const { machine } = next(next(served, restart, undrafted).machine, exited(crashed), undrafted);
    expect(next(machine, refused, undrafted).machine.state).toMatchObject({ name: "backoff", waitingFor: notThere });
    const again = next(
      next(machine, { type: "preflight-passed" }, undrafted).machine,
      { type: "spawned", epoch: 2 },
      undrafted,
    ).machine;
    expect(next(again, { ...exited(notThere), epoch: 2 } as Event, undrafted).machine.state).toMatchObject({
      name: "backoff",
    });
  });

  test("does not turn a permanent cause into a temporary one", () => {
    expect(
      next(patient({ name: "preflight" }), { type: "preflight-failed", cause: badFlag }, launch).machine.state.name,
    ).toBe("failed");
    expect(next(patient({ name: "loading" }), exited(badFlag), launch).machine.state.name).toBe("failed");
    expect(next(patient({ name: "loading" }), exited(crashed), launch).machine).toMatchObject({ failuresMs: [0] });
  });
});
