import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import type { ExitCause, Health, Launch } from "../../src/supervisor/launch.ts";
import { initialMachine, isLive, next } from "../../src/supervisor/machine.ts";
import type { Effect, Event, Machine } from "../../src/supervisor/machine-types.ts";
import { hung, stalled } from "../../src/supervisor/supervision-causes.ts";
import { badFlag, crashed, makeLaunch, notThere } from "./make-launch.ts";

const healths: readonly Health[] = ["loading", "unreachable", "timeout", "error"];

export const launches = fc
  .record({
    policy: fc.constantFrom("on-failure", "on-failure", "on-failure", "never"),
    onFailure: fc.constantFrom("serve", "fail", "fail"),
    wanted: fc.constantFrom(true, true, false),
    failures: fc.integer({ min: 1, max: 4 }),
    maxFailures: fc.integer({ min: 1, max: 4 }),
  })
  .map(({ policy, onFailure, wanted, failures, maxFailures }): Launch => {
    const { restart, health } = makeLaunch();
    return makeLaunch({
      restart: { ...restart, policy, maxFailures },
      health: { ...health, failures },
      proof: wanted ? { wanted, onFailure } : { wanted, reason: "not asked" },
    });
  });

const causes = fc.oneof(
  { weight: 30, arbitrary: fc.constant(crashed) },
  { weight: 1, arbitrary: fc.constant(badFlag) },
  { weight: 2, arbitrary: fc.constant(notThere) },
);
const wishes = ["down", "restart", "force"] as const;

function chance<T>(weight: number, arbitrary: fc.Arbitrary<T>): fc.WeightedArbitrary<T> {
  return { weight, arbitrary };
}

/**
 * The next event; the world decides whether it is possible.
 * @param weights How often each request comes: `down` and `force` end most sequences.
 */
export function turns(weights: Readonly<Record<(typeof wishes)[number], number>>) {
  return fc.oneof(
    chance(400, fc.record({ type: fc.constantFrom("preflight", "deadline", "drained", "spawned", "orphan") })),
    chance(200, fc.record({ type: fc.constant("health"), health: fc.constantFrom("ready", "ready", ...healths) })),
    chance(
      80,
      fc.record({
        type: fc.constant("exited"),
        cause: causes,
        // Mostly within the window of a crash loop.
        passedMs: fc.oneof(fc.nat(200_000), fc.constantFrom(599_999, 600_000)),
        random: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    ),
    chance(120, fc.record({ type: fc.constantFrom("proved", "not-proved", "stalled", "hung", "lost") })),
    chance(
      3,
      fc.record({ type: fc.constant("refused preflight"), cause: fc.constantFrom(badFlag, crashed, notThere) }),
    ),
    ...wishes.map((wish) => chance(weights[wish], fc.record({ type: fc.constant("wish"), wish: fc.constant(wish) }))),
    chance(20, fc.record({ type: fc.constant("late"), health: fc.constantFrom("ready", ...healths) })),
  );
}
export type Turn = ReturnType<typeof turns> extends fc.Arbitrary<infer T> ? T : never;

/** What the server's end must lead to, known from the requests and signals so far and not from the machine. */
type Future = "stop" | "restart" | { readonly backOff: ExitCause } | { readonly fail: ExitCause };

/**
 * The part of a supervisor that performs effects, with a server that obeys or does not; every rule that it must obey is
 * checked here.
 */
export class World {
  machine: Machine;
  readonly launch: Launch;
  /** Epoch of the running server. */
  server: number | undefined;
  finished: string | undefined;
  readonly seen = new Set<string>();
  #isPatient: boolean;
  #future: Future | undefined;
  #failuresMs: number[] = [];
  #failedInARow = 0;
  #nowMs = 0;
  #preflights = 0;
  /** A restart came during the preflight. */
  #isOutdated = false;
  /** An orphaned server, if there is one, until the first answer of a preflight. */
  #mayAdopt = true;
  #deadline: number | undefined;
  #isDraining = false;
  #terminated = 0;
  #proofs = 0;
  /** Why the present event may kill or hurry the server. */
  #event: Event = { type: "up" };

  constructor(launch: Launch, isPatient: boolean) {
    this.launch = launch;
    this.#isPatient = isPatient;
    this.machine = { ...initialMachine, isPatient };
    this.#dispatch({ type: "up" });
  }

  take(turn: Turn): void {
    const { epoch } = this.machine;
    switch (turn.type) {
      case "preflight":
        return this.#answerPreflight({ type: "preflight-passed" });
      case "orphan":
        return this.#mayAdopt ? this.#answerPreflight({ type: "orphan-found" }) : undefined;
      case "refused preflight":
        return this.#answerPreflight({ type: "preflight-failed", cause: turn.cause });
      case "deadline":
        return this.passDeadline();
      case "drained":
        if (this.#isDraining) this.#dispatch({ type: "drained", epoch });
        this.#isDraining = false;
        return;
      case "spawned":
        return this.server === undefined ? undefined : this.#dispatch({ type: turn.type, epoch });
      case "stalled":
        return this.#killFor({ type: turn.type, epoch }, stalled(this.launch));
      case "hung":
        return this.#killFor({ type: turn.type, epoch }, hung(this.launch));
      case "lost":
        return this.#killFor({ type: turn.type, epoch, cause: crashed }, crashed);
      case "health":
        return this.server === undefined ? undefined : this.#checkHealth(turn.health);
      case "proved":
        return this.#proofs === 0 ? undefined : this.#dispatch({ type: "proved", epoch });
      case "not-proved":
        return this.#proofs === 0 ? undefined : this.#refuseProof();
      case "exited":
        this.#nowMs += turn.passedMs;
        return this.exit(turn.cause, turn.random);
      case "wish":
        return this.wish(turn.wish);
      case "late":
        return this.#late({ type: "health", epoch: epoch - 1, health: turn.health });
    }
  }

  wish(type: (typeof wishes)[number]): void {
    if (this.server !== undefined) {
      this.#dispatch({ type });
      this.#future = type === "restart" ? "restart" : "stop";
      return;
    }
    const before = this.machine;
    const preflights = this.#preflights;
    this.#dispatch({ type });
    if (type === "down") equal(this.finished, "done");
    if (type === "force") equal(this.machine, before);
    if (type !== "restart") return;
    if (preflights > 0) this.#isOutdated = true;
    equal(this.#preflights, 1);
    this.#failuresMs = [];
  }

  passDeadline(): void {
    if (this.#deadline === undefined) return;
    this.#deadline = undefined;
    this.#dispatch({ type: "deadline" });
  }

  exit(cause: ExitCause, random = 0.5): void {
    if (this.server === undefined) return;
    this.server = undefined;
    const future = this.#future;
    this.#future = undefined;
    this.#dispatch({ type: "exited", epoch: this.machine.epoch, cause, nowMs: this.#nowMs, random });
    if (future === "stop") equal(this.finished, "done");
    else if (future === "restart") this.#expectStart();
    else if (future !== undefined && "fail" in future) equal(this.finished, future.fail.exit);
    else this.#expectBackOff(future?.backOff ?? cause);
  }

  #expectStart(): void {
    equal(this.finished, undefined);
    equal(this.#preflights, 1);
    this.#failuresMs = [];
  }

  #expectBackOff(cause: ExitCause): void {
    const { policy, maxFailures, windowMs, backoffMs } = this.launch.restart;
    if (policy === "never") return equal(this.finished, cause.exit);
    if (cause.mayCome === true && this.#isPatient) return this.#expectWait(backoffMs);
    if (cause.permanent) return equal(this.finished, cause.exit);
    this.#failuresMs.push(this.#nowMs);
    const count = this.#failuresMs.filter((atMs) => this.#nowMs - atMs < windowMs).length;
    if (count >= maxFailures) return equal(this.finished, "crashLoop");
    this.#expectWait(0.8 * backoffMs * 2 ** (count - 1), 1.2 * backoffMs * 2 ** (count - 1));
  }

  #expectWait(leastMs: number, mostMs = Infinity): void {
    equal(this.finished, undefined);
    const waitMs = this.#deadline ?? -1;
    ok(waitMs >= Math.floor(leastMs) && waitMs <= Math.ceil(mostMs));
  }

  #killFor(event: Event, cause: ExitCause): void {
    if (this.server === undefined) return;
    const before = this.machine;
    this.#dispatch(event);
    if (this.machine === before) return;
    equal(this.#future, undefined);
    if (event.type === "hung") ok(this.#failedInARow >= this.launch.health.failures);
    this.#future = { backOff: cause };
  }

  #checkHealth(health: Health): void {
    const wasReady = this.machine.state.name === "ready";
    this.#failedInARow = health === "ready" ? 0 : this.#failedInARow + (wasReady ? 1 : 0);
    this.#dispatch({ type: "health", epoch: this.machine.epoch, health });
    if (wasReady) equal(this.machine.state.name === "unhealthy", this.#failedInARow >= this.launch.health.failures);
  }

  #refuseProof(): void {
    const wasProving = this.machine.state.name === "proving";
    this.#dispatch({ type: "not-proved", epoch: this.machine.epoch, cause: badFlag });
    const { proof } = this.launch;
    if (wasProving && proof.wanted && proof.onFailure === "fail") this.#future = { fail: badFlag };
  }

  #answerPreflight(event: Event): void {
    if (this.#preflights === 0) return;
    this.#preflights -= 1;
    this.#mayAdopt = false;
    const isOutdated = this.#isOutdated;
    this.#isOutdated = false;
    this.#dispatch(event);
    if (isOutdated) return this.#expectStart();
    if (event.type !== "preflight-failed") return equal(this.server, this.machine.epoch);
    const { cause } = event;
    const isWaitedFor = !cause.permanent || (cause.mayCome === true && this.#isPatient);
    if (this.launch.restart.policy === "never" || !isWaitedFor) equal(this.finished, cause.exit);
    else this.#expectWait(this.launch.restart.backoffMs);
  }

  #late(event: Event): void {
    deepEqual(next(this.machine, event, this.launch), { machine: this.machine, effects: [] });
  }

  #dispatch(event: Event): void {
    const before = this.machine.state.name;
    const { machine, effects } = next(this.machine, event, this.launch);
    this.machine = machine;
    this.#event = event;
    this.#isPatient ||= machine.state.name === "ready";
    this.seen.add(machine.state.name);
    if (machine.state.name !== before) this.#deadline = undefined;
    for (const effect of effects) this.#perform(effect);
    equal(isLive(machine.state), this.server !== undefined);
  }

  #perform(effect: Effect): void {
    switch (effect.do) {
      case "preflight":
        this.#preflights += 1;
        equal(this.#preflights, 1);
        return;
      case "spawn":
      case "adopt":
        equal(this.server, undefined);
        equal(effect.do, this.#event.type === "orphan-found" ? "adopt" : "spawn");
        this.server = effect.epoch;
        this.#isDraining = false;
        this.#terminated = 0;
        this.#proofs = 0;
        this.#failedInARow = 0;
        return;
      case "prove":
        this.#proofs += 1;
        equal(this.#proofs, 1);
        return;
      case "drain":
        this.#isDraining = true;
        return;
      case "terminate":
        this.#terminated += 1;
        ok(this.#terminated <= (this.#event.type === "deadline" ? 2 : 1));
        return;
      case "kill":
        return this.#expectReasonToKill();
      case "deadline":
        equal(this.#deadline, undefined);
        this.#deadline = effect.ms;
        return;
      case "finish":
        equal(this.server, undefined);
        this.finished = effect.exit;
    }
  }

  /** Only `force`, silence, a lost worker, or two signals without an effect. */
  #expectReasonToKill(): void {
    const { type } = this.#event;
    if (type === "deadline") equal(this.#terminated, 2);
    else ok(["force", "stalled", "hung", "lost"].includes(type));
  }
}
