import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ExitCause, Health, Launch } from "../../../src/supervisor/launch.ts";
import { initialMachine, next } from "../../../src/supervisor/machine.ts";
import type { Effect, Event, Machine } from "../../../src/supervisor/machine-types.ts";
import { badFlag, crashed, makeLaunch, notThere } from "../../support/make-launch.ts";

const healths: readonly Health[] = ["ready", "loading", "unreachable", "timeout", "error"];
const longest = { maxLength: 1000, size: "max" } as const;

const launches = fc
  .record({
    policy: fc.constantFrom("on-failure", "on-failure", "on-failure", "never"),
    onFailure: fc.constantFrom("serve", "fail"),
    wanted: fc.boolean(),
  })
  .map(({ policy, onFailure, wanted }): Launch => {
    const { restart } = makeLaunch();
    return makeLaunch({
      restart: { ...restart, policy },
      proof: wanted ? { wanted, onFailure } : { wanted, reason: "not asked" },
    });
  });

// Events that end a supervision are rare, so that most sequences are long.
const causes = fc.oneof(
  { weight: 100, arbitrary: fc.constant(crashed) },
  { weight: 1, arbitrary: fc.constantFrom(badFlag, notThere) },
);
const wishes = fc.oneof(
  { weight: 60, arbitrary: fc.constant("restart") },
  { weight: 1, arbitrary: fc.constantFrom("down", "force") },
);

/** The next event or effect; the world decides whether it is possible. */
const turns = fc.oneof(
  {
    weight: 200,
    arbitrary: fc.record({ type: fc.constantFrom("preflight", "deadline", "drained", "spawned", "orphan") }),
  },
  { weight: 100, arbitrary: fc.record({ type: fc.constant("health"), health: fc.constantFrom(...healths) }) },
  {
    weight: 50,
    arbitrary: fc.record({
      type: fc.constant("exited"),
      cause: causes,
      passedMs: fc.nat(700_000),
      random: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 50, arbitrary: fc.record({ type: fc.constantFrom("proved", "not-proved", "stalled", "hung", "lost") }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("refused preflight"),
      cause: fc.constantFrom(badFlag, crashed, notThere),
    }),
  },
  { weight: 20, arbitrary: fc.record({ type: fc.constant("wish"), wish: wishes }) },
  { weight: 30, arbitrary: fc.record({ type: fc.constant("late"), health: fc.constantFrom(...healths) }) },
);
type Turn = typeof turns extends fc.Arbitrary<infer T> ? T : never;

/**
 * The part of a supervisor that performs effects, with a server that obeys or does not; every rule that it must obey is
 * checked here.
 */
class World {
  machine: Machine = initialMachine;
  readonly launch: Launch;
  /** Epoch of the running server. */
  server: number | undefined;
  finished: string | undefined;
  /** Known from the rule, not from the machine. */
  isPatient: boolean;
  #nowMs = 0;
  #preflights = 0;
  /** An orphaned server, if there is one, until the first answer of a preflight. */
  #mayAdopt = true;
  #deadline: number | undefined;
  #isDraining = false;
  #terminated = 0;
  #mayHurry = false;
  #proofs = 0;

  constructor(launch: Launch, isPatient: boolean) {
    this.launch = launch;
    this.isPatient = isPatient;
    this.machine = { ...initialMachine, isPatient };
    this.dispatch({ type: "up" });
  }

  take(turn: Turn): void {
    const epoch = this.machine.epoch;
    switch (turn.type) {
      case "preflight":
        return this.#answerPreflight({ type: "preflight-passed" });
      case "orphan":
        return this.#mayAdopt ? this.#answerPreflight({ type: "orphan-found" }) : undefined;
      case "refused preflight":
        return this.#answerPreflight({ type: "preflight-failed", cause: turn.cause });
      case "deadline":
        return this.#passDeadline();
      case "drained":
        if (this.#isDraining) this.dispatch({ type: "drained", epoch });
        this.#isDraining = false;
        return;
      case "spawned":
      case "stalled":
      case "hung":
        return this.server === undefined ? undefined : this.dispatch({ type: turn.type, epoch });
      case "lost":
        return this.server === undefined ? undefined : this.dispatch({ type: "lost", epoch, cause: crashed });
      case "health":
        return this.server === undefined ? undefined : this.dispatch({ type: "health", epoch, health: turn.health });
      case "proved":
        return this.#proofs === 0 ? undefined : this.dispatch({ type: "proved", epoch });
      case "not-proved":
        return this.#proofs === 0 ? undefined : this.dispatch({ type: "not-proved", epoch, cause: badFlag });
      case "exited":
        this.#nowMs += turn.passedMs;
        return this.exit(turn.cause, turn.random);
      case "wish":
        return this.dispatch({ type: turn.wish });
      case "late":
        return this.#late({ type: "health", epoch: epoch - 1, health: turn.health });
    }
  }

  exit(cause: ExitCause, random = 0.5): void {
    if (this.server === undefined) return;
    this.server = undefined;
    const asked = ["stopping", "killing", "stuck"].includes(this.machine.state.name);
    this.dispatch({ type: "exited", epoch: this.machine.epoch, cause, nowMs: this.#nowMs, random });
    const isWaitedFor = this.isPatient && cause.mayCome === true && this.launch.restart.policy !== "never";
    if (!asked && cause.permanent) expect(this.finished).toBe(isWaitedFor ? undefined : cause.exit);
  }

  dispatch(event: Event): void {
    const before = this.machine.state.name;
    const { machine, effects } = next(this.machine, event, this.launch);
    this.machine = machine;
    this.isPatient ||= machine.state.name === "ready";
    if (
      event.type === "preflight-failed" &&
      event.cause.mayCome &&
      this.isPatient &&
      this.launch.restart.policy !== "never"
    )
      expect(machine.state.name).not.toBe("failed");
    if (machine.state.name !== before) this.#deadline = undefined;
    for (const effect of effects) this.#perform(effect);
  }

  #passDeadline(): void {
    if (this.#deadline === undefined) return;
    this.#deadline = undefined;
    this.#mayHurry = true;
    this.dispatch({ type: "deadline" });
    this.#mayHurry = false;
  }

  #answerPreflight(event: Event): void {
    if (this.#preflights === 0) return;
    this.#preflights -= 1;
    this.#mayAdopt = false;
    this.dispatch(event);
  }

  #late(event: Event): void {
    expect(next(this.machine, event, this.launch)).toEqual({ machine: this.machine, effects: [] });
  }

  #perform(effect: Effect): void {
    switch (effect.do) {
      case "preflight":
        this.#preflights += 1;
        return;
      case "spawn":
      case "adopt":
        expect(this.server).toBeUndefined();
        this.server = effect.epoch;
        this.#isDraining = false;
        this.#terminated = 0;
        this.#proofs = 0;
        return;
      case "prove":
        this.#proofs += 1;
        expect(this.#proofs).toBe(1);
        return;
      case "drain":
        this.#isDraining = true;
        return;
      case "terminate":
        this.#terminated += 1;
        expect(this.#terminated).toBeLessThanOrEqual(this.#mayHurry ? 2 : 1);
        return;
      case "kill":
        return;
      case "deadline":
        expect(this.#deadline).toBeUndefined();
        this.#deadline = effect.ms;
        return;
      case "finish":
        expect(this.server).toBeUndefined();
        this.finished = effect.exit;
    }
  }
}

describe("for any sequence of events", () => {
  test("there is never a second server or proof, an early second SIGTERM, or an end while the server runs", () => {
    fc.assert(
      fc.property(launches, fc.boolean(), fc.array(turns, longest), (launch, isPatient, sequence) => {
        const world = new World(launch, isPatient);
        for (const turn of sequence) {
          world.take(turn);
          if (world.finished !== undefined) return;
        }
        // From any state, two requests and the death of the server are enough.
        world.dispatch({ type: "down" });
        world.dispatch({ type: "force" });
        world.exit(crashed);
        expect(world.finished).toBeDefined();
      }),
      { numRuns: 300 },
    );
  });

  test("the wait between exits grows and is capped", () => {
    const { restart } = makeLaunch();
    const randoms = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 100 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100_000 }), randoms, (backoffMs, sequence) => {
        const launch = makeLaunch({ restart: { ...restart, backoffMs, maxFailures: 1000 } });
        let machine: Machine = { ...initialMachine, state: { name: "loading" } };
        sequence.forEach((random, i) => {
          machine = next(machine, { type: "exited", epoch: 0, cause: crashed, nowMs: i, random }, launch).machine;
          const middleMs = Math.min(backoffMs * 2 ** i, restart.backoffMaxMs);
          expect(machine.state).toMatchObject({ name: "backoff" });
          const { delayMs } = machine.state as Extract<Machine["state"], { name: "backoff" }>;
          expect(delayMs).toBeGreaterThanOrEqual(Math.floor(middleMs * 0.8));
          expect(delayMs).toBeLessThanOrEqual(Math.ceil(middleMs * 1.2));
          machine = { ...machine, state: { name: "loading" } };
        });
      }),
    );
  });

  test("every state answers every event, and always in the same way", () => {
    const events = fc.oneof(
      fc.record({
        type: fc.constantFrom("up", "down", "restart", "force", "preflight-passed", "orphan-found", "deadline"),
      }),
      fc.record({ type: fc.constant("preflight-failed"), cause: causes }),
      fc.record({ type: fc.constantFrom("spawned", "stalled", "hung", "drained"), epoch: fc.nat(3) }),
      fc.record({ type: fc.constantFrom("lost", "not-proved"), epoch: fc.nat(3), cause: causes }),
      fc.record({ type: fc.constant("health"), epoch: fc.nat(3), health: fc.constantFrom(...healths) }),
      fc.record({ type: fc.constant("proved"), epoch: fc.nat(3) }),
      fc.record({
        type: fc.constant("exited"),
        epoch: fc.nat(3),
        cause: causes,
        nowMs: fc.nat(),
        random: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    );
    fc.assert(
      fc.property(launches, fc.array(events, longest), (launch, sequence) => {
        let machine = initialMachine;
        for (const event of sequence) {
          const transition = next(machine, event, launch);
          expect(transition.machine.state.name).toBeTypeOf("string");
          expect(transition.machine.epoch).toBeGreaterThanOrEqual(machine.epoch);
          machine = transition.machine;
        }
        const last = sequence.at(-1);
        if (last !== undefined) expect(next(machine, last, launch)).toEqual(next(machine, last, launch));
      }),
      { numRuns: 100 },
    );
  });
});
