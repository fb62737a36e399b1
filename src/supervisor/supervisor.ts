import { randomInt } from "node:crypto";
import { join } from "node:path";
import { LlmctlError } from "../base/errors.ts";
import type { ExitName } from "../base/exit-codes.ts";
import { formatDuration } from "../base/text/units.ts";
import type { LoadProgress, StateName, Status, StatusEvent } from "../control/messages.ts";
import { describeLoad, describeState, makeEvent } from "./describe-state.ts";
import type { Endpoint, ExitCause, Launch, ServerProtocol } from "./launch.ts";
import { initialMachine, next } from "./machine.ts";
import type { Effect, Event, Machine } from "./machine-types.ts";
import type { Orphan } from "./state/orphan.ts";
import type { ProcessIdentity } from "./state/process-identity.ts";
import { brokenBySuspend, workerLost } from "./supervision-causes.ts";
import { readOomKills } from "./child/oom-kills.ts";
import { ServerLog } from "./log/server-log.ts";
import { adoptServer, explainSpawnFailure, kill, terminate, type ProcessExit } from "./child/server-process.ts";
import { ServerRun, type StartedServer } from "./child/server-run.ts";
import { ServerWatch } from "./child/server-watch.ts";
import { removeStaleSocket } from "./port/socket-check.ts";
import { startServer, type ServerRegistry } from "./child/start-server.ts";
import { StatusBoard } from "./status-board.ts";
import { describeSystemError, warnOnSystemError } from "./warn-on-system-error.ts";

/** Different ones, of all the time that a supervisor lives: somebody reads them, and each is sent with every status. */
const mostWarnings = 50;
/** Of one start: its states, and a handful of warnings. */
const mostEventsOfStart = 20;

export interface SupervisorOptions extends ServerRegistry {
  readonly launch: Launch;
  readonly protocol: ServerProtocol;
  /** Folder of this profile's state and logs. */
  readonly folder: string;
  /** A server that is to be adopted in place of the first start. */
  readonly orphan: Orphan | undefined;
  /**
   * For a launch that could not be planned yet, and that is only for show: makes the real one. Asked before each start
   * until it has.
   * @returns why it cannot be made now.
   */
  readonly plan?: (() => Promise<Launch | ExitCause>) | undefined;
  /** Nobody watches the start: what may come is waited for, also by the first one. */
  readonly isPatient?: boolean | undefined;
  /** Looks before each start whether it can succeed. @returns why not. */
  readonly preflight: (launch: Launch) => Promise<ExitCause | undefined>;
  /** Hears every change, in order. */
  readonly onEvent: (event: StatusEvent) => void;
}

/**
 * Keeps one launch in its wanted state. Owns the child, the log and the state; every change goes through {@link next},
 * one event at a time. `design.md` has the table.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #log: ServerLog;
  readonly #startedMs = performance.now();
  readonly #board = new StatusBoard();
  #launch: Launch;
  #launchAfterStop: Launch | undefined;
  #machine: Machine;
  #isPlanned: boolean;
  #run: ServerRun | undefined;
  #orphan: Orphan | undefined;
  #deadline: NodeJS.Timeout | undefined;
  /** When the last server was seen to be gone; undefined once the next start has begun. */
  #goneMs: number | undefined;
  #lastEvent: StatusEvent;
  /** Who had the last wish, in words; undefined when it has been carried out. */
  #askedBy: string | undefined;
  /** Those who wait for a stop, to be told when somebody else's wish takes its place. */
  readonly #stopAskers = new Set<(by: string) => void>();
  /** What has happened since the present start began, for who comes a moment later. */
  #eventsOfStart: StatusEvent[] = [];
  #isFinished = false;
  #finish: (exit: ExitName) => void = () => undefined;

  /** Ends with the supervision, with the exit code that `up` shall have. */
  readonly finished: Promise<ExitName>;

  /** @throws the system's error when the log cannot be opened. */
  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#launch = options.launch;
    this.#orphan = options.orphan;
    this.#machine = { ...initialMachine, isPatient: options.isPatient ?? false };
    this.#isPlanned = options.plan === undefined;
    this.#board.startRun(options.launch);
    this.#log = new ServerLog(join(options.folder, "server.log"), options.launch.log);
    this.#lastEvent = this.#makeEvent("not started");
    this.finished = new Promise((resolve) => (this.#finish = resolve));
  }

  /** The running server, for the state file. */
  get server(): ProcessIdentity | null {
    return this.#run?.server.identity ?? this.#orphan?.identity ?? null;
  }

  get stopTimeoutMs(): number {
    return this.#launch.stopTimeoutMs;
  }

  get healthIntervalMs(): number {
    return this.#launch.health.intervalMs;
  }

  get lastEvent(): StatusEvent {
    return this.#lastEvent;
  }

  /** What has happened since the present start began; nothing before the first. */
  get eventsOfStart(): readonly StatusEvent[] {
    const events = this.#eventsOfStart;
    return events.length === 0 || events.includes(this.#lastEvent) ? events : [...events, this.#lastEvent];
  }

  up(): void {
    this.#dispatch({ type: "up" });
  }

  /** @param by who asks, in words. */
  down(by: string): void {
    this.#wish("down", by);
  }

  /** Kills the server at once, then stops. */
  forceDown(by: string): void {
    this.#wish("down", by);
    this.#dispatch({ type: "force" });
  }

  /**
   * As {@link down} or {@link forceDown}, for an asker who waits.
   * @returns undefined once the supervision has ended; else, as soon as somebody else's wish takes its place, who that
   *   was.
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
   * Starts the server anew, with another launch when one is given; the present one runs until then.
   * @throws LlmctlError `stopping` when the supervision has ended.
   */
  restart(launch: Launch | undefined, by: string): void {
    if (this.#isFinished) throw ended(this.#launch.name);
    this.#launchAfterStop = launch;
    this.#wish("restart", by);
    for (const asker of this.#stopAskers) asker(by);
  }

  /** Says something that people should know and that stops nothing; each text once. */
  warn(text: string): void {
    const { warnings } = this.#board;
    if (warnings.has(text) || warnings.size >= mostWarnings) return;
    warnings.add(text);
    this.#publish(text);
  }

  status(): Status {
    return this.#board.read(this.#machine.state, this.#launch, {
      pid: this.#run?.server.pid ?? null,
      log: this.#log.path,
    });
  }

  /** What the server itself tells Prometheus; undefined while it is not ready, and of a server that does not tell. */
  async readServerMetrics(): Promise<string | undefined> {
    return this.#machine.state.name === "ready" ? this.#run?.metrics.read() : undefined;
  }

  /** A wish that only changes what comes next has no event of a state, and is told all the same. */
  #wish(type: "down" | "restart", by: string): void {
    const before = this.#machine;
    this.#askedBy = by;
    this.#dispatch({ type });
    if (this.#machine.state.name !== before.state.name || this.#machine === before) return;
    this.#publish(`${by} asked for a ${type === "down" ? "stop" : "restart"}, which comes after this`);
  }

  #dispatch(event: Event): void {
    // Whoever has given up the lock must not start a server, even if a last request asks for it.
    if (this.#isFinished) return;
    const before = this.#machine;
    const { machine, effects } = next(before, event, this.#launch);
    this.#machine = machine;
    if (machine.state.name !== before.state.name) this.#enter(machine.state.name, before.state.name);
    for (const effect of effects) this.#try(`cannot ${effect.do}`, () => this.#perform(effect));
  }

  #enter(name: StateName, before: StateName): void {
    clearTimeout(this.#deadline);
    if (name === "starting" && this.#machine.failuresMs.length > 0) this.#board.noteRestart();
    const { state } = this.#machine;
    if (name === "preflight") this.#goneMs = undefined;
    this.#board.enter(state, state.name === "backoff" ? this.#leftOf(state.delayMs) : undefined);
    if (name === "starting") this.#askedBy = undefined;
    if (name === "preflight") this.#eventsOfStart = [];
    if (name === "ready" || name === "unhealthy") this.#run?.watch.enter(name);
    if (name === "stopping" || name === "killing") this.#run?.watch.stop();
    if (before === "proving" || name === "stopping") this.#run?.giveUpAsking();
    this.#publish(
      describeState(state, {
        status: this.status(),
        sinceSpawnMs: this.#run?.sinceMs ?? 0,
        askedBy: this.#askedBy,
        proofTexts: this.#options.protocol.proofTexts,
      }),
    );
  }

  #perform(effect: Effect): void {
    switch (effect.do) {
      case "preflight":
        return this.#inBackground(this.#preflight());
      case "spawn":
        return this.#inBackground(this.#spawn(effect.epoch));
      case "adopt":
        return this.#adopt(effect.epoch);
      case "prove":
        return this.#inBackground(this.#prove(this.#machine.epoch));
      case "drain":
        return this.#inBackground(this.#drain(this.#machine.epoch));
      case "terminate":
        return this.#run === undefined ? undefined : terminate(this.#run.server.pid);
      case "kill":
        return this.#run === undefined ? undefined : kill(this.#run.server.pid);
      case "deadline":
        this.#deadline = setTimeout(() => this.#dispatch({ type: "deadline" }), this.#leftOf(effect.ms));
        return;
      case "finish":
        this.#isFinished = true;
        return this.#finish(effect.exit);
    }
  }

  /**
   * A backoff counts from the server's end: what is done about that happens within it, and puts off the next start no
   * further.
   */
  #leftOf(ms: number): number {
    const isBackoff = this.#machine.state.name === "backoff";
    return isBackoff && this.#goneMs !== undefined ? Math.max(0, ms - (performance.now() - this.#goneMs)) : ms;
  }

  /** Does what may fail by the system's fault. */
  #try<T>(what: string, step: () => T): T | undefined {
    return warnOnSystemError(what, step, (text) => this.warn(text));
  }

  /**
   * An effect that fails by our own mistake ends the process with its stack, and the kernel ends the server with it.
   */
  #inBackground(effect: Promise<void>): void {
    effect.catch((error: unknown) =>
      setImmediate(() => this.warn(describeSystemError("something failed beside the server", error))),
    );
  }

  async #preflight(): Promise<void> {
    // Nothing is waited for before: a wish to stop must find the server that it is about.
    if (this.#orphan !== undefined) return this.#dispatch({ type: "orphan-found" });
    if (this.#launchAfterStop !== undefined) {
      this.#launch = this.#launchAfterStop;
      this.#launchAfterStop = undefined;
      this.#isPlanned = true;
    }
    const cause = await this.#lookBeforeStart();
    this.#dispatch(cause === undefined ? { type: "preflight-passed" } : { type: "preflight-failed", cause });
  }

  /**
   * What cannot be asked now, for want of memory, a descriptor or a file of this program that is just being replaced,
   * is asked again.
   */
  async #lookBeforeStart(): Promise<ExitCause | undefined> {
    try {
      return (await this.#completeLaunch()) ?? (await this.#options.preflight(this.#launch));
    } catch (error) {
      return {
        kind: "preflight-broken",
        message: `cannot prepare the start: ${String(error)}`,
        permanent: false,
        exit: "failed",
      };
    }
  }

  /** @returns why there is still nothing that could be started. */
  async #completeLaunch(): Promise<ExitCause | undefined> {
    if (this.#isPlanned) return undefined;
    const planned = await this.#options.plan?.();
    if (planned === undefined || "permanent" in planned) return planned;
    this.#launch = planned;
    this.#isPlanned = true;
    return undefined;
  }

  async #spawn(epoch: number): Promise<void> {
    this.#forgetRun();
    this.#board.runs += 1;
    const { lockServer, recordServer } = this.#options;
    const warn = (text: string) => this.warn(text);
    let started: StartedServer;
    try {
      started = await startServer({ launch: this.#launch, epoch, log: this.#log, lockServer, recordServer, warn });
    } catch (error) {
      return this.#onExit(epoch, explainSpawnFailure(this.#launch.file, error));
    }
    this.#begin(epoch, started);
    // A wish that came while the process was being made found nobody to tell.
    const { state } = this.#machine;
    if (state.name === "stopping") this.#try("cannot terminate", () => terminate(started.server.pid));
    if (state.name === "killing") this.#try("cannot kill", () => kill(started.server.pid));
  }

  #adopt(epoch: number): void {
    const orphan = this.#orphan;
    if (orphan === undefined) return;
    this.#orphan = undefined;
    const from = orphan.endpoint === undefined ? "all" : "what comes";
    this.#try("cannot read the server's log", () => this.#log.resumeRun(from, orphan.identity.pid));
    this.#publish(`took over the server (pid ${orphan.identity.pid}), which had outlived its supervisor`);
    const { identity, endpoint } = orphan;
    this.#begin(
      epoch,
      { server: adoptServer(identity), oomKills: readOomKills() ?? 0, startedMs: performance.now() },
      endpoint,
    );
  }

  #begin(epoch: number, started: StartedServer, endpoint?: Endpoint): void {
    if (endpoint !== undefined) this.#board.endpoint = endpoint;
    const { protocol } = this.#options;
    const watch = this.#watch(epoch, started.server.pid, endpoint);
    const run = new ServerRun({
      ...started,
      launch: this.#launch,
      protocol,
      watch,
      endpoint: () => this.#board.endpoint,
    });
    this.#run = run;
    this.#board.noteSpawn();
    this.#inBackground(started.server.exited.then((exit) => this.#onServerExit(epoch, run, exit)));
    this.#dispatch({ type: "spawned", epoch });
  }

  #watch(epoch: number, pid: number, endpoint: Endpoint | undefined): ServerWatch {
    return new ServerWatch({
      launch: this.#launch,
      protocol: this.#options.protocol,
      pid,
      endpoint,
      log: this.#log,
      onEndpoint: (endpoint) => (this.#board.endpoint = endpoint),
      onHealth: (health) => {
        const { state } = this.#machine;
        if (health === "ready" && state.name === "loading") this.#board.loadMs = this.#run?.sinceMs ?? 0;
        this.#dispatch({ type: "health", epoch, health });
      },
      onLoad: (load) => this.#noteLoad(load),
      onTraffic: (traffic) => {
        const fault = this.#board.noteTraffic(traffic, this.#options.protocol.proofTexts.findFault);
        if (fault !== undefined) this.warn(fault);
      },
      onSilence: () => this.#dispatch({ type: this.#machine.state.name === "unhealthy" ? "hung" : "stalled", epoch }),
      onLost: () => this.#dispatch({ type: "lost", epoch, cause: workerLost }),
      onLogMoved: () => this.#publish("the server's log was moved or deleted: it goes on in a new file in its place"),
      onResume: (suspendedMs) => this.#inBackground(this.#examine(epoch, suspendedMs)),
      onWarning: (text) => this.warn(text),
    });
  }

  async #prove(epoch: number): Promise<void> {
    const result = await this.#run?.prove();
    if (result === undefined || result.kind === "unwanted") return;
    if (epoch === this.#machine.epoch) this.#board.noteProof(result);
    if (result.kind === "proved") return this.#dispatch({ type: "proved", epoch });
    const cause = this.#options.protocol.proofTexts.explainFailure(result.reason);
    this.#dispatch({ type: "not-proved", epoch, cause });
  }

  async #examine(epoch: number, suspendedMs: number): Promise<void> {
    this.#publish(
      `the machine was suspended for ${formatDuration(suspendedMs)}; the server is asked whether it still computes`,
    );
    const examination = await this.#run?.examine();
    if (epoch !== this.#machine.epoch) return;
    if (examination?.result === "well") this.#publish("the server computes as before the machine was suspended");
    if (examination?.result === "broken")
      this.#dispatch({ type: "lost", epoch, cause: brokenBySuspend(examination.reason) });
  }

  async #drain(epoch: number): Promise<void> {
    const limit = formatDuration(this.#launch.stopTimeoutMs);
    await this.#run?.drain(() => this.#publish(`waiting for running requests to end, at most ${limit}`));
    this.#dispatch({ type: "drained", epoch });
  }

  async #onServerExit(epoch: number, run: ServerRun, exit: ProcessExit): Promise<void> {
    this.#goneMs = performance.now();
    const { name } = this.#machine.state;
    const wasReady = name === "ready" || name === "unhealthy";
    this.#try("cannot end what the server has left behind", () => run.killRest());
    const lastLines = this.#try("cannot read the end of the server's log", () => this.#log.readRunTail(100)) ?? [];
    this.#try("cannot keep the server's log", () => this.#log.endRun());
    await this.#removeSocket();
    this.#onExit(epoch, run.explainExit(exit, { lastLines, wasReady }));
  }

  /** llama-server leaves it behind. The start of the next server looks again, so a failure only leaves a file. */
  async #removeSocket(): Promise<void> {
    const { socketPath } = this.#launch;
    if (socketPath === undefined) return;
    try {
      await removeStaleSocket(socketPath);
    } catch (error) {
      this.warn(`cannot remove the server's socket ${socketPath}: ${String(error)}`);
    }
  }

  #onExit(epoch: number, cause: ExitCause): void {
    const asked =
      this.#machine.state.name === "stopping" ||
      this.#machine.state.name === "killing" ||
      this.#machine.state.name === "stuck";
    this.#forgetRun();
    if (!asked) this.#board.noteExit(cause);
    this.#dispatch({ type: "exited", epoch, cause, nowMs: performance.now(), random: randomInt(1 << 30) / (1 << 30) });
  }

  #forgetRun(): void {
    this.#run?.end();
    this.#run = undefined;
    this.#board.startRun(this.#launch);
  }

  #noteLoad(load: LoadProgress): void {
    if (this.#machine.state.name !== "loading") return;
    this.#board.load = load;
    this.#options.onEvent({ ...this.#makeEvent(`loading ${describeLoad(load)}`), isProgress: true });
  }

  #publish(message: string): void {
    const event = this.#makeEvent(message);
    // A warning that comes after the end, as of a disk that is full, is not the last word.
    if (this.#lastEvent.end === undefined) this.#lastEvent = event;
    if (this.#eventsOfStart.length < mostEventsOfStart) this.#eventsOfStart.push(event);
    this.#options.onEvent(event);
  }

  #makeEvent(message: string): StatusEvent {
    return makeEvent(message, {
      machine: this.#machine,
      status: this.status(),
      elapsedMs: performance.now() - this.#startedMs,
    });
  }
}

function ended(name: string): LlmctlError {
  return new LlmctlError("stopping", `"${name}" has just been stopped`, {
    exit: "notRunning",
    fix: { before: "start it:", run: ["up", name] },
  });
}
