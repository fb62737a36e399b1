import { describe, expect, test } from "vitest";
import type { ExitCause, Launch } from "../../../src/supervisor/launch.ts";
import { initialMachine, next } from "../../../src/supervisor/machine.ts";
import type { Event, Machine } from "../../../src/supervisor/machine-types.ts";
import {
  deadline,
  epoch,
  exited,
  good,
  loading,
  passed,
  preflight,
  ready,
  refused,
  restart,
} from "../../support/machine-states.ts";
import { crashed, makeLaunch, notThere } from "../../support/make-launch.ts";

const launch = makeLaunch();
const undrafted = makeLaunch({ proof: { wanted: false, reason: "not asked" } });

describe("retries", () => {
  /** A second, doubled up to a minute. */
  const growing = [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000];
  const readyNow: Machine = { ...initialMachine, epoch, state: ready };

  /** The machine after each of these exits of a ready server. */
  function afterExits(by: Launch, atMs: readonly number[], random = 0.5): Machine[] {
    let machine = readyNow;
    return atMs.map((nowMs) => {
      machine = next({ ...machine, state: ready }, exited(crashed, nowMs, random), by).machine;
      return machine;
    });
  }
  const delay = ({ state }: Machine): number | string => (state.name === "backoff" ? state.delayMs : state.name);
  const every = (ms: number, exits: number): number[] => Array.from({ length: exits }, (_, i) => i * ms);

  test("the delay doubles up to its limit, and the last exit of a crash loop is the end", () => {
    const by = makeLaunch({ restart: { ...launch.restart, maxFailures: 9 } });
    expect(afterExits(by, every(10, 9)).map(delay)).toEqual([...growing.slice(0, 8), "failed"]);
  });

  test("the delay has a jitter of 20 %, in whole milliseconds", () => {
    expect(afterExits(launch, every(10, 2), 0).map(delay)).toEqual([800, 1600]);
    expect(afterExits(launch, every(10, 2), 1).map(delay)).toEqual([1200, 2400]);
    expect(afterExits(launch, [0], 0.12345).map(delay)).toEqual([849]);
    const by = makeLaunch({ restart: { ...launch.restart, maxFailures: 99 } });
    expect(afterExits(by, every(1, 20), 1).map(delay).at(-1)).toBe(72_000);
  });

  test("exits count together while they are less than the window apart", () => {
    const { windowMs } = launch.restart;
    expect(afterExits(launch, every(windowMs, 20)).map(delay)).toEqual(Array.from({ length: 20 }, () => 1000));
    expect(afterExits(launch, [0, windowMs - 1, windowMs]).map(({ failuresMs }) => failuresMs)).toEqual([
      [0],
      [0, windowMs - 1],
      [windowMs - 1, windowMs],
    ]);
  });

  test.each([
    ["a window of 0s has no crash loop", { windowMs: 0 }, Array.from({ length: 20 }, () => 1000)],
    ["a backoff of 0s never waits", { backoffMs: 0 }, [0, 0, 0, 0, "failed"]],
    ["a limit below the first delay is kept", { backoffMaxMs: 300 }, [300, 300, 300, 300, "failed"]],
  ])("%s", (_, changed, delays) => {
    const by = makeLaunch({ restart: { ...launch.restart, ...changed } });
    expect(afterExits(by, every(1, delays.length)).map(delay)).toEqual(delays);
  });

  test("the first exit is the end if one makes a crash loop", () => {
    const by = makeLaunch({ restart: { ...launch.restart, maxFailures: 1 } });
    expect(afterExits(by, [0]).map(delay)).toEqual(["failed"]);
  });

  test("the error for a crash loop has number, time and cause of the exits", () => {
    const machine = { ...readyNow, failuresMs: [0, 1000, 2000, 3000], postponements: 2 };
    const cause: ExitCause = {
      kind: "crash-loop",
      message: "crash loop: 5 unexpected exits in 4 s, the last: it crashed",
      fix: "try",
      permanent: true,
      exit: "crashLoop",
    };
    expect(next(machine, exited({ ...crashed, fix: "try" }, 4000), launch)).toStrictEqual({
      machine: { ...machine, failuresMs: [0, 1000, 2000, 3000, 4000], state: { name: "failed", cause } },
      effects: [{ do: "finish", exit: "crashLoop" }],
    });
  });

  /** Waits after ten refusals, each followed by what leads to the next one. */
  function waits(first: Machine, refuse: (machine: Machine) => Machine): { delays: number[]; last: Machine } {
    const delays: number[] = [];
    let last = first;
    for (let i = 0; i < 10; i += 1) {
      last = refuse(last);
      if (last.state.name === "backoff") delays.push(last.state.delayMs);
      last = next(last, deadline, launch).machine;
    }
    return { delays, last };
  }

  test("a start waits for dependencies elsewhere without limit, at growing intervals, and counts no failure", () => {
    const first = { ...initialMachine, state: preflight };
    const { delays, last } = waits(first, (machine) => next(machine, refused(crashed), launch).machine);
    expect(delays).toEqual(growing);
    expect(last).toEqual({ ...first, postponements: 10 });
  });

  test("a temporary cause is waited for in the same way, even if each start spawns a server", () => {
    const first = { ...initialMachine, isPatient: true, state: preflight };
    const { delays, last } = waits(first, (machine) => {
      const begun = next(machine, passed, launch).machine;
      return next(begun, { ...exited(notThere), epoch: begun.epoch } as Event, launch).machine;
    });
    expect(delays).toEqual(growing);
    expect(last).toEqual({ ...first, epoch: 10, postponements: 10 });
  });

  test("a temporary cause is waited for once the server has been ready, even after a requested restart", () => {
    const machine = [good, restart, exited(crashed)].reduce<Machine>(
      (before, event) => next(before, event, undrafted).machine,
      { ...initialMachine, epoch, state: loading },
    );
    expect(next(machine, refused(notThere), undrafted).machine.state).toEqual({
      name: "backoff",
      delayMs: 1000,
      waitingFor: notThere,
    });
  });
});
