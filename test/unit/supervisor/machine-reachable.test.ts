import { describe, expect, test } from "vitest";
import type { Launch } from "../../../src/supervisor/launch.ts";
import { initialMachine, isLive, next } from "../../../src/supervisor/machine.ts";
import type { Event, Machine, Transition } from "../../../src/supervisor/machine-types.ts";
import { deadline, down, drained, events, exited, force, restart } from "../../support/machine-states.ts";
import { badFlag, crashed, makeLaunch, notThere } from "../../support/make-launch.ts";

// Every state that any events lead to, found by trying all events in each of them.

interface Place {
  readonly machine: Machine;
  readonly by: Launch;
  /** The events that led here, for the message of a failed test. */
  readonly path: readonly string[];
}

const { restart: retries } = makeLaunch();
const launches: readonly Launch[] = [
  makeLaunch(),
  makeLaunch({ proof: { wanted: true, onFailure: "fail" } }),
  makeLaunch({ proof: { wanted: false, reason: "not asked" }, restart: { ...retries, policy: "never" } }),
];

/** The event, of the spawn that the machine is at. */
function take({ machine, by }: Place, event: Event): Transition {
  return next(machine, "epoch" in event ? { ...event, epoch: machine.epoch } : event, by);
}

function follow(place: Place, ...sequence: readonly Event[]): Place {
  return sequence.reduce<Place>(
    (from, event) => ({ ...from, machine: take(from, event).machine, path: [...from.path, event.type] }),
    place,
  );
}

/** Two machines are at one place when they differ in counts and times only. */
function keyOf({ machine: { state, isPatient } }: Place): string {
  return JSON.stringify([state.name === "backoff" ? { ...state, delayMs: 0 } : state, isPatient]);
}

function explore(by: Launch): Place[] {
  const found = new Map<string, Place>();
  const waiting: Place[] = [{ machine: initialMachine, by, path: [] }];
  for (let place = waiting.shift(); place !== undefined; place = waiting.shift()) {
    const key = keyOf(place);
    if (found.has(key)) continue;
    found.set(key, place);
    if (found.size > 300) throw new Error(`a state that grows without end: ${key}`);
    for (const event of events) waiting.push(follow(place, event));
  }
  return [...found.values()];
}

let known: readonly Place[] | undefined;
/** All places; found by the first test that asks, since a broken machine must fail a test and not the whole file. */
function places(): readonly Place[] {
  return (known ??= launches.flatMap(explore));
}
const live = (): Place[] => places().filter(({ machine }) => isLive(machine.state));
const signalled = (): Place[] => places().filter(({ machine }) => "next" in machine.state);
const causes = [crashed, badFlag, notThere];

/** Paths to the places at which the check fails. */
function failing(from: readonly Place[], check: (place: Place) => boolean): string[] {
  return from.filter((place) => !check(place)).map(({ path }) => path.join(" "));
}

/** Whether the server's end, at whatever cause and after any number of deadlines, leads to this. */
function endsWith(place: Place, isExpected: (transition: Transition) => boolean): boolean {
  return [0, 1, 2, 3, 4].every((deadlines) => {
    const late = follow(place, ...Array.from({ length: deadlines }, () => deadline));
    return causes.every((cause) => isExpected(take(late, exited(cause))));
  });
}

function isDone({ machine, effects }: Transition): boolean {
  return (
    machine.state.name === "stopped" &&
    effects.length === 1 &&
    effects[0]?.do === "finish" &&
    "done" === effects[0].exit
  );
}

function isNewStart({ machine, effects }: Transition): boolean {
  const isFresh = machine.failuresMs.length === 0 && machine.postponements === 0;
  return machine.state.name === "preflight" && isFresh && effects.length === 1 && effects[0]?.do === "preflight";
}

const kills = ({ effects }: Transition): boolean => effects.some((effect) => effect.do === "kill");

test("every state is reached, and a server that was signalled has each possible future", () => {
  const names = ["stopped", "preflight", "starting", "loading", "proving", "ready", "unhealthy", "backoff", "failed"];
  expect(new Set(places().map(({ machine }) => machine.state.name))).toEqual(
    new Set([...names, "stopping", "killing", "stuck"]),
  );
  const futures = signalled().map(({ machine: { state } }) =>
    "next" in state
      ? `${state.name}, then ${state.next}${state.cause === undefined ? "" : ` for ${state.cause.kind}`}`
      : "",
  );
  const killed = [
    "stop",
    "stop for bad-flag",
    "restart",
    "back off for stalled",
    "back off for hung",
    "back off for crashed",
  ];
  expect(new Set(futures)).toEqual(
    new Set([
      ...["stop", "stop for bad-flag", "restart"].map((then) => `stopping, then ${then}`),
      ...killed.map((then) => `killing, then ${then}`),
      ...killed.map((then) => `stuck, then ${then}`),
    ]),
  );
});

describe("from every state that can be reached", () => {
  test("`down` alone stops, and kills nothing before its deadlines are over", () => {
    expect(
      failing(places(), (place) => {
        if (place.machine.state.name === "failed") return take(place, down).effects.length === 0;
        const after = take(place, down);
        return isLive(place.machine.state) ? !kills(after) && endsWith(follow(place, down), isDone) : isDone(after);
      }),
    ).toEqual([]);
  });

  test("`force` alone kills a server, unless that is done already, and then stops", () => {
    expect(
      failing(live(), (place) => {
        const isKilled = place.machine.state.name === "killing";
        return kills(take(place, force)) !== isKilled && endsWith(follow(place, force), isDone);
      }),
    ).toEqual([]);
    const others = places().filter((place) => !isLive(place.machine.state));
    expect(failing(others, (place) => take(place, force).machine === place.machine)).toEqual([]);
  });

  test("`restart` leads to a new start, with no failure counted", () => {
    expect(
      failing(places(), (place) => {
        const after = follow(place, restart);
        if (isLive(place.machine.state)) return !kills(take(place, restart)) && endsWith(after, isNewStart);
        if (place.machine.state.name !== "preflight") return isNewStart(take(place, restart));
        // The preflight under way is of the earlier launch: whatever it finds, another one follows.
        return events
          .filter(({ type }) => /preflight|orphan/.test(type))
          .every((event) => isNewStart(take(after, event)));
      }),
    ).toEqual([]);
  });

  test("the last of several requests decides what follows the server's end, however far the stop is", () => {
    const requests = [down, restart, force];
    const sequences = requests.flatMap((first) =>
      requests.flatMap((second) => [
        [first, second],
        [first, deadline, second],
        [first, drained, deadline, deadline, second],
      ]),
    );
    for (const sequence of sequences) {
      const isExpected = sequence.at(-1) === restart ? isNewStart : isDone;
      expect(
        failing(live(), (place) => endsWith(follow(place, ...sequence), isExpected)),
        sequence.map(({ type }) => type).join(),
      ).toEqual([]);
    }
  });

  test("only a request or the server's end changes what comes next, and why", () => {
    const others = events.filter(({ type }) => !["down", "restart", "force", "exited"].includes(type));
    const future = ({ machine: { state } }: Place): string =>
      JSON.stringify("next" in state ? [state.next, state.cause] : state);
    for (const event of others)
      expect(
        failing(signalled(), (place) => future(follow(place, event)) === future(place)),
        event.type,
      ).toEqual([]);
  });

  test("a lasting cause ends it at once with the cause's exit, whether or not anybody watches", () => {
    const own = live().filter(({ machine }) => !("next" in machine.state));
    expect(
      failing(own, (place) => {
        const [end, ...more] = take(place, exited(badFlag)).effects;
        return end?.do === "finish" && end.exit === "config" && more.length === 0;
      }),
    ).toEqual([]);
  });
});
