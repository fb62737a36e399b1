import { describe, expect, test } from "vitest";
import type { ExitCause, Launch } from "../../../src/supervisor/launch.ts";
import { initialMachine, isLive, next } from "../../../src/supervisor/machine.ts";
import type { Effect, Event, Machine, State } from "../../../src/supervisor/machine-types.ts";
import { badFlag, crashed, makeLaunch, notThere } from "../../support/make-launch.ts";
import {
  again,
  backoff,
  backOff,
  bad,
  deadline,
  down,
  drained,
  ends,
  ending,
  epoch,
  events,
  exited,
  failed,
  force,
  type Gone,
  good,
  hungNow,
  killing,
  live,
  loading,
  lost,
  notLive,
  notProved,
  orphan,
  passed,
  preflight,
  preflightAgain,
  proved,
  proving,
  ready,
  readyAfter2,
  refused,
  restart,
  running,
  spawned,
  stalledNow,
  starting,
  stop,
  stopFor,
  stopped,
  stopping,
  stuck,
  unhealthy,
  up,
  waiting,
} from "../../support/machine-states.ts";

const launch = makeLaunch({ health: { ...makeLaunch().health, hangTimeoutMs: 90_000 } });
const never = makeLaunch({ restart: { ...launch.restart, policy: "never" } });
const undrafted = makeLaunch({ proof: { wanted: false, reason: "not asked" } });
const strict = makeLaunch({ proof: { wanted: true, onFailure: "fail" } });

/** What a machine carries through every transition that does not say otherwise: nothing here is a default. */
const carried = { epoch, failuresMs: [1000, 2000], postponements: 3, isPatient: false } as const;

// Effects.
const wait = (ms: number): Effect => ({ do: "deadline", ms });
const finish = (exit: Extract<Effect, { do: "finish" }>["exit"]): Effect => ({ do: "finish", exit });
const check: Effect = { do: "preflight" };
const kill: Effect[] = [{ do: "kill" }, wait(30_000)];
const terminate: Effect = { do: "terminate" };

// The causes that the machine itself finds.
const stalled: ExitCause = {
  kind: "stalled",
  message: "the load showed no sign of life (log, CPU, I/O) for 60 s",
  fix: {
    before: "look at the end of the log with",
    run: ["logs", "p"],
    after: "; raise health.stall_timeout when the disk is slow",
  },
  permanent: false,
  exit: "notReadyInTime",
};
const hung: ExitCause = {
  kind: "hung",
  message: "the server answered no health check, logged nothing and used no CPU for 90 s",
  permanent: false,
  exit: "failed",
};

/** What else is different: in the machine before the event, in the one after it, or in the launch. */
interface Else {
  readonly by?: Launch;
  /** By default both. */
  readonly isPatient?: boolean;
  readonly after?: Partial<Machine>;
}
type Row = [from: State, on: Event, to: State, effects: readonly Effect[], also?: Else];

const forgotten: Else = { after: { failuresMs: [], postponements: 0 } };
const served: Else = { after: { postponements: 0, isPatient: true } };
const counted: Else = { after: { failuresMs: [1000, 2000, 3000] } };
const postponed: Else = { after: { postponements: 4 } };
const nextSpawn: Else = { after: { epoch: 5 } };

/** An exit that nobody asked for. */
function unexpected(from: State): Row[] {
  return [
    [from, exited(crashed), { name: "backoff", delayMs: 4000 }, [wait(4000)], counted],
    [from, exited(crashed), { name: "failed", cause: crashed }, [finish("diedBeforeReady")], { by: never }],
    [from, exited(badFlag), { name: "failed", cause: badFlag }, [finish("config")]],
    [from, exited(notThere), { name: "failed", cause: notThere }, [finish("missingFile")], { isPatient: false }],
    [
      from,
      exited(notThere),
      { name: "backoff", delayMs: 8000, waitingFor: notThere },
      [wait(8000)],
      { isPatient: true, ...postponed },
    ],
    [
      from,
      exited(notThere),
      { name: "failed", cause: notThere },
      [finish("missingFile")],
      { by: never, isPatient: true },
    ],
  ];
}

/** The exit of a server that was signalled: the server's own words matter only if we had no reason of ours. */
function expected(gone: Gone): Row[] {
  return [crashed, badFlag, notThere].flatMap((cause) =>
    ending(gone).map((from): Row => {
      if (gone.next === "restart") return [from, exited(cause), preflight, [check], forgotten];
      if (gone.next === "back off")
        return [from, exited(cause), { name: "backoff", delayMs: 4000 }, [wait(4000)], counted];
      return gone.cause === undefined
        ? [from, exited(cause), stopped, [finish("done")]]
        : [from, exited(cause), { name: "failed", cause: gone.cause }, [finish(gone.cause.exit)]];
    }),
  );
}

const rows: readonly Row[] = [
  // start
  [stopped, up, preflight, [check], forgotten],
  [failed, up, preflight, [check], forgotten],
  [preflight, passed, starting, [{ do: "spawn", epoch: 5 }], nextSpawn],
  [preflight, orphan, starting, [{ do: "adopt", epoch: 5 }], nextSpawn],
  [preflight, refused(badFlag), { name: "failed", cause: badFlag }, [finish("config")]],
  [preflight, refused(crashed), { name: "backoff", delayMs: 8000, waitingFor: crashed }, [wait(8000)], postponed],
  [preflight, refused(crashed), { name: "failed", cause: crashed }, [finish("diedBeforeReady")], { by: never }],
  [preflight, refused(notThere), { name: "failed", cause: notThere }, [finish("missingFile")], { isPatient: false }],
  [
    preflight,
    refused(notThere),
    { name: "backoff", delayMs: 8000, waitingFor: notThere },
    [wait(8000)],
    { isPatient: true, ...postponed },
  ],
  [preflight, refused(notThere), { name: "failed", cause: notThere }, [finish("missingFile")], { by: never }],
  [starting, spawned, loading, []],
  ...[starting, loading].flatMap((from): Row[] => [
    [from, good, proving, [{ do: "prove" }]],
    [from, good, ready, [], { by: undrafted, ...served }],
    ...bad.map((event): Row => [from, event, from, []]),
    [from, stalledNow, killing({ next: "back off", cause: stalled }), kill],
  ]),
  [proving, proved, ready, [], served],
  [proving, proved, ready, [], { by: strict, ...served }],
  [proving, notProved, ready, [], served],
  [proving, notProved, ready, [], { by: undrafted, ...served }],
  [proving, notProved, stopping(1, stopFor), [terminate, wait(7000)], { by: strict }],

  // health
  [ready, good, ready, [], served],
  [readyAfter2, good, ready, [], served],
  [unhealthy, good, ready, [], served],
  ...bad.flatMap((event): Row[] => [
    [ready, event, { name: "ready", failedChecks: 1 }, [], served],
    [{ name: "ready", failedChecks: 1 }, event, readyAfter2, [], served],
    [readyAfter2, event, unhealthy, []],
    [unhealthy, event, unhealthy, []],
  ]),
  ...[ready, readyAfter2, unhealthy].map((from): Row => [from, lost, killing(backOff), kill]),
  [unhealthy, hungNow, killing({ next: "back off", cause: hung }), kill],

  // the server's end
  ...running.flatMap(unexpected),
  ...ends.flatMap(expected),
  ...[killing, stuck].flatMap((signalled): Row[] => [
    [signalled({ next: "back off", cause: badFlag }), exited(crashed), failed, [finish("config")]],
    [signalled({ next: "back off" }), exited(badFlag), failed, [finish("config")]],
  ]),

  // deadlines
  [backoff, deadline, preflight, [check]],
  [waiting, deadline, preflight, [check]],
  ...ends.flatMap((gone): Row[] => [
    [stopping(0, gone), deadline, stopping(1, gone), [terminate, wait(250)]],
    [stopping(1, gone), deadline, stopping(2, gone), [terminate, wait(2000)]],
    [stopping(2, gone), deadline, killing(gone), kill],
    [killing(gone), deadline, stuck(gone), []],
    [stuck(gone), deadline, stuck(gone), []],
    [stopping(0, gone), drained, stopping(1, gone), [terminate]],
    [stopping(1, gone), drained, stopping(1, gone), []],
    [stopping(2, gone), drained, stopping(2, gone), []],
  ]),

  // down
  ...[stopped, preflight, preflightAgain, backoff, waiting].map((from): Row => [from, down, stopped, [finish("done")]]),
  ...[starting, loading, proving, unhealthy].map((from): Row => [from, down, stopping(1), [terminate, wait(7000)]]),
  ...[ready, readyAfter2].map((from): Row => [from, down, stopping(0), [{ do: "drain" }, wait(7000)]]),
  ...ends.flatMap((gone) => ending(gone).map((from, i): Row => [from, down, ending(stop)[i] as State, []])),

  // restart
  ...[stopped, backoff, waiting, failed].map((from): Row => [from, restart, preflight, [check], forgotten]),
  ...[starting, loading, proving, unhealthy].map((from): Row => [
    from,
    restart,
    stopping(1, again),
    [terminate, wait(7000)],
  ]),
  ...[ready, readyAfter2].map((from): Row => [from, restart, stopping(0, again), [{ do: "drain" }, wait(7000)]]),
  ...ends.flatMap((gone) => ending(gone).map((from, i): Row => [from, restart, ending(again)[i] as State, []])),
  [preflight, restart, preflightAgain, []],
  [preflightAgain, restart, preflightAgain, []],
  ...[passed, orphan, refused(crashed), refused(badFlag), refused(notThere)].map((event): Row => [
    preflightAgain,
    event,
    preflight,
    [check],
    forgotten,
  ]),

  // force
  ...live.map((from): Row => [from, force, killing(), from.name === "killing" ? [] : kill]),
];

describe("each transition: the whole next machine, and the effects in order", () => {
  test.each<Row>(rows)("%j on %j goes to %j with %j", (from, on, to, effects, { by, isPatient, after } = {}) => {
    for (const patient of isPatient === undefined ? [false, true] : [isPatient]) {
      const machine = { ...carried, isPatient: patient, state: from };
      expect(next(machine, on, by ?? launch)).toStrictEqual({ machine: { ...machine, ...after, state: to }, effects });
    }
  });

  /** The pairs that change something, or make another machine of the same content: callers compare by identity. */
  function findChanges(pairs: readonly (readonly [State, Event])[], spawn: number): (readonly [State, Event])[] {
    return pairs.filter(([state, on]) =>
      [launch, never, undrafted, strict].some((by) => {
        const machine = { ...carried, epoch: spawn, state };
        const after = next(machine, on, by);
        return after.machine !== machine || after.effects.length > 0;
      }),
    );
  }
  const pairs = [...notLive, ...live].flatMap((state) => events.map((on) => [state, on] as const));

  test("an event that is not in the table changes nothing", () => {
    const known = new Set(rows.map(([from, on]) => `${from.name} ${on.type}`));
    const unknown = pairs.filter(([state, on]) => !known.has(`${state.name} ${on.type}`));
    expect(unknown.length).toBeGreaterThan(300);
    expect(findChanges(unknown, epoch)).toEqual([]);
  });

  test.each([epoch - 1, epoch + 1])("an event of another spawn than the newest, %i, changes nothing", (newest) => {
    const ofASpawn = pairs.filter(([, on]) => "epoch" in on);
    expect(findChanges(ofASpawn, newest)).toEqual([]);
  });

  test.each([1, 2, 5])("%i failed checks in a row make a server unhealthy", (failures) => {
    const by = makeLaunch({ health: { ...launch.health, failures } });
    for (let failedChecks = 0; failedChecks < failures; failedChecks += 1) {
      const { state } = next({ ...carried, state: { name: "ready", failedChecks } }, bad[0] as Event, by).machine;
      const isLast = failedChecks + 1 === failures;
      expect(state).toEqual(isLast ? unhealthy : { name: "ready", failedChecks: failedChecks + 1 });
    }
  });
});

test("a machine begins stopped, without a spawn or a failure, and watched by a person", () => {
  expect(initialMachine).toEqual({
    state: stopped,
    epoch: 0,
    failuresMs: [],
    postponements: 0,
    isPatient: false,
  });
});

test("a process may exist in every state from starting to stuck", () => {
  for (const state of notLive) expect(isLive(state), state.name).toBe(false);
  for (const state of live) expect(isLive(state), state.name).toBe(true);
});
