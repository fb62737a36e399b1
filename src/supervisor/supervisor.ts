import { join } from "node:path";
import { LlmctlError } from "../base/errors.ts";
import type { ExitName } from "../base/exit-codes.ts";
import type { LoadProgress, StateName, Status, StatusEvent } from "../control/messages.ts";
import { ServerLifecycle } from "./child/server-lifecycle.ts";
import type { ServerRegistry } from "./child/start-server.ts";
import { realSystem, type System } from "./child/system.ts";
import { CurrentLaunch } from "./current-launch.ts";
import { describeLoad, describeState, makeEvent } from "./describe-state.ts";
import { EventsOfStart } from "./events-of-start.ts";
import type { ExitCause, Launch, ServerProtocol } from "./launch.ts";
import { ServerLog } from "./log/server-log.ts";
import { initialMachine, next } from "./machine.ts";
import type { Effect, Event, Machine } from "./machine-types.ts";
import type { Orphan } from "./state/orphan.ts";
import type { ProcessIdentity } from "./state/process-identity.ts";
import { StatusBoard } from "./status-board.ts";
import { runInBackground, warnOnSystemError } from "./warn-on-system-error.ts";

/** Number of different warnings in a supervisor's lifetime: every status carries all of them. */
const mostWarnings = 50;

export interface SupervisorOptions extends ServerRegistry {
  readonly launch: Launch;
  readonly protocol: ServerProtocol;
  /** Folder of this profile's state and logs. */
  readonly folder: string;
  /** A server to adopt in place of the first start. */
  readonly orphan: Orphan | undefined;
  /** See {@link CurrentLaunch}. */
  readonly plan?: (() => Promise<Launch | ExitCause>) | undefined;
  /** Nobody watches the start: even the first start waits for causes that `mayCome`. */
  readonly isPatient?: boolean | undefined;
  /** Checks before each start whether it can succeed. @returns the cause if not. */
  readonly preflight: (launch: Launch) => Promise<ExitCause | undefined>;
  /** Called with every event, in order. */
  readonly onEvent: (event: StatusEvent) => void;
  readonly system?: System | undefined;
}

/**
 * Keeps one launch in its wanted state. The loop that owns the state: every change goes through {@link next}, one event
 * at a time, and each effect is performed here or by the {@link ServerLifecycle}. `design.md` has the table of states.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #log: ServerLog;
  readonly #system: System;
  readonly #startedMs: number;
  readonly #board: StatusBoard;
  readonly #launch: CurrentLaunch;
  readonly #server: ServerLifecycle;
  #machine: Machine;
  #cancelDeadline: () => void = () => undefined;
  #lastEvent: StatusEvent;
  /** Who sent the last request, in words; undefined when it has been carried out. */
  #askedBy: string | undefined;
  /** Callers that wait for a stop; each is told who asked for a restart in its place. */
  readonly #stopAskers = new Set<(by: string) => void>();
  readonly #eventsOfStart = new EventsOfStart();
  #isFinished = false;
  #finish: (exit: ExitName) => void = () => undefined;

  /** Resolves at the end of the supervision with the exit code of `up`. */
  readonly finished: Promise<ExitName>;

  /** @throws the system's error when the log cannot be opened. */
  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#system = options.system ?? realSystem;
    this.#startedMs = this.#system.clock.nowMs();
    this.#board = new StatusBoard(this.#system.clock.nowMs);
    this.#launch = new CurrentLaunch(options.launch, options);
    this.#machine = { ...initialMachine, isPatient: options.isPatient ?? false };
    this.#board.startRun(options.launch);
    this.#log = new ServerLog(join(options.folder, "server.log"), options.launch.log);
    this.#server = this.#makeLifecycle();
    this.#lastEvent = this.#makeEvent("not started");
    this.finished = new Promise((resolve) => (this.#finish = resolve));
  }

  #makeLifecycle(): ServerLifecycle {
    const { protocol, lockServer, recordServer, orphan } = this.#options;
    const loop = {
      machine: () => this.#machine,
      launch: () => this.#launch.current,
      dispatch: (event: Event) => this.#dispatch(event),
      publish: (message: string) => this.#publish(message),
      publishLoad: (load: LoadProgress) => this.#publishLoad(load),
      warn: (text: string) => this.warn(text),
      fallBack: (reason: string) => this.#fallBack(reason),
    };
    return new ServerLifecycle({
      protocol,
      lockServer,
      recordServer,
      orphan,
      log: this.#log,
      board: this.#board,
      loop,
      system: this.#system,
    });
  }

  /** Identity of the running server, for the state file. */
  get server(): ProcessIdentity | null {
    return this.#server.identity;
  }

  get stopTimeoutMs(): number {
    return this.#launch.current.stopTimeoutMs;
  }

  get healthIntervalMs(): number {
    return this.#launch.current.health.intervalMs;
  }

  get lastEvent(): StatusEvent {
    return this.#lastEvent;
  }

  /** Events since the present start began; none before the first start. */
  get eventsOfStart(): readonly StatusEvent[] {
    return this.#eventsOfStart.upTo(this.#lastEvent);
  }

  up(): void {
    this.#dispatch({ type: "up" });
  }

  /** @param by Who asks, in words. */
  down(by: string): void {
    this.#request("down", by);
  }

  /** Kills the server at once, then stops. */
  forceDown(by: string): void {
    this.#request("down", by);
    this.#dispatch({ type: "force" });
  }

  /**
   * Like {@link down} or {@link forceDown}, and waits for the end.
   * @returns undefined when the supervision has ended; or, as soon as another caller asks for a restart, who that is.
   */
  async stop(by: string, force: boolean): Promise<string | undefined> {
    let asker: (by: string) => void = () => undefined;
    const overruled = new Promise<string>((resolve) => (asker = resolve));
    this.#stopAskers.add(asker);
    if (force) this.forceDown(by);
    else this.down(by);
    const other = await Promise.race([this.finished.then(() => undefined), overruled]);
    this.#stopAskers.delete(asker);
    return other;
  }

  /**
   * Restarts the server, with a new launch if one is given.
   * @throws LlmctlError `stopping` when the supervision has ended.
   */
  restart(launch: Launch | undefined, by: string): void {
    if (this.#isFinished) throw ended(this.#launch.current.name);
    this.#launch.replaceAtNextStart(launch);
    this.#request("restart", by);
    for (const asker of this.#stopAskers) asker(by);
  }

  /** Publishes a warning; each text once. */
  warn(text: string): void {
    const { warnings } = this.#board;
    if (warnings.has(text) || warnings.size >= mostWarnings) return;
    warnings.add(text);
    this.#publish(text);
  }

  status(): Status {
    return this.#board.read(this.#machine.state, this.#launch.current, { pid: this.#server.pid, log: this.#log.path });
  }

  /** The server's own Prometheus text; undefined while the server is not ready, or when it has none. */
  async readServerMetrics(): Promise<string | undefined> {
    return this.#machine.state.name === "ready" ? this.#server.readMetrics() : undefined;
  }

  #fallBack(reason: string): void {
    const { fallbackAsker } = this.#options.protocol.proofTexts;
    if (this.#launch.fallBackAtNextStart(reason)) this.#request("restart", fallbackAsker);
  }

  /** Publishes also a request that only changes what comes next, for which no state is entered. */
  #request(type: "down" | "restart", by: string): void {
    const before = this.#machine;
    this.#askedBy = by;
    this.#dispatch({ type });
    if (this.#machine.state.name !== before.state.name || this.#machine === before) return;
    this.#publish(`${by} asked for a ${type === "down" ? "stop" : "restart"}, which comes after this`);
  }

  #dispatch(event: Event): void {
    // The lock is given up: a late request must not start a server.
    if (this.#isFinished) return;
    const before = this.#machine;
    const { machine, effects } = next(before, event, this.#launch.current);
    this.#machine = machine;
    if (machine.state.name !== before.state.name) this.#enter(machine.state.name, before.state.name);
    for (const effect of effects)
      warnOnSystemError(
        `cannot ${effect.do}`,
        () => this.#perform(effect),
        (text) => this.warn(text),
      );
  }

  #enter(name: StateName, before: StateName): void {
    this.#cancelDeadline();
    if (name === "starting" && this.#machine.failuresMs.length > 0) this.#board.noteRestart();
    const { state } = this.#machine;
    this.#server.onState(name, before);
    this.#board.enter(state, state.name === "backoff" ? this.#server.leftOf(state.delayMs) : undefined);
    if (name === "starting") this.#askedBy = undefined;
    if (name === "preflight") this.#eventsOfStart.begin();
    this.#publish(
      describeState(state, {
        status: this.status(),
        sinceSpawnMs: this.#server.sinceSpawnMs,
        askedBy: this.#askedBy,
        proofTexts: this.#options.protocol.proofTexts,
      }),
    );
  }

  #perform(effect: Effect): void {
    const { epoch } = this.#machine;
    switch (effect.do) {
      case "preflight":
        return this.#inBackground(this.#preflight());
      case "spawn":
        return this.#inBackground(this.#server.spawn(effect.epoch));
      case "adopt":
        return this.#server.adopt(effect.epoch);
      case "prove":
        return this.#inBackground(this.#server.prove(epoch));
      case "drain":
        return this.#inBackground(this.#server.drain(epoch));
      case "terminate":
        return this.#server.terminate();
      case "kill":
        return this.#server.kill();
      case "deadline":
        return this.#setDeadline(this.#server.leftOf(effect.ms));
      case "finish":
        this.#isFinished = true;
        return this.#finish(effect.exit);
    }
  }

  #setDeadline(ms: number): void {
    this.#cancelDeadline = this.#system.clock.setTimer(ms, () => this.#dispatch({ type: "deadline" }));
  }

  #inBackground(work: Promise<void>): void {
    runInBackground(work, (text) => this.warn(text));
  }

  async #preflight(): Promise<void> {
    // No await before this: a stop that arrives meanwhile must find the orphan.
    if (this.#server.hasOrphan) return this.#dispatch({ type: "orphan-found" });
    const cause = await this.#launch.prepareStart();
    this.#dispatch(cause === undefined ? { type: "preflight-passed" } : { type: "preflight-failed", cause });
  }

  #publishLoad(load: LoadProgress): void {
    if (this.#machine.state.name !== "loading") return;
    this.#board.load = load;
    this.#options.onEvent({ ...this.#makeEvent(`loading ${describeLoad(load)}`), isProgress: true });
  }

  #publish(message: string): void {
    const event = this.#makeEvent(message);
    // The last event stays the end, even when a warning (such as a full disk) follows.
    if (this.#lastEvent.end === undefined) this.#lastEvent = event;
    this.#eventsOfStart.add(event);
    this.#options.onEvent(event);
  }

  #makeEvent(message: string): StatusEvent {
    return makeEvent(message, {
      machine: this.#machine,
      status: this.status(),
      elapsedMs: this.#system.clock.nowMs() - this.#startedMs,
    });
  }
}

function ended(name: string): LlmctlError {
  return new LlmctlError("stopping", `"${name}" has just been stopped`, {
    exit: "notRunning",
    fix: { before: "start it:", run: ["up", name] },
  });
}
