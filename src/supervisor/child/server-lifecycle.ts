import { formatDuration } from "../../base/text/units.ts";
import type { LoadProgress, StateName } from "../../control/messages.ts";
import type { Endpoint, ExitCause, Launch, ServerProtocol } from "../launch.ts";
import type { ServerLog } from "../log/server-log.ts";
import type { Event, Machine } from "../machine-types.ts";
import type { Orphan } from "../state/orphan.ts";
import type { ProcessIdentity } from "../state/process-identity.ts";
import type { StatusBoard } from "../status-board.ts";
import { brokenBySuspend, workerLost } from "../supervision-causes.ts";
import { runInBackground, warnOnSystemError } from "../warn-on-system-error.ts";
import { RunGuard } from "./run-guard.ts";
import { adoptServer, explainSpawnFailure, kill, terminate, type ProcessExit } from "./server-process.ts";
import { ServerRun, type StartedServer } from "./server-run.ts";
import { ServerWatch } from "./server-watch.ts";
import { startServer, type ServerRegistry } from "./start-server.ts";
import type { System } from "./system.ts";

/** The supervisor's loop, which owns the state: a server's lifecycle reads the state and reports events. */
interface SupervisorLoop {
  readonly machine: () => Machine;
  readonly launch: () => Launch;
  readonly dispatch: (event: Event) => void;
  /** Tells people something that changes no state. */
  readonly publish: (message: string) => void;
  readonly publishLoad: (load: LoadProgress) => void;
  readonly warn: (text: string) => void;
  /** The ready server is idle, and its fallback would do better, for this reason. */
  readonly fallBack: (reason: string) => void;
}

interface LifecycleOptions extends ServerRegistry {
  readonly protocol: ServerProtocol;
  readonly log: ServerLog;
  readonly board: StatusBoard;
  readonly loop: SupervisorLoop;
  /** A server to adopt in place of the first start. */
  readonly orphan: Orphan | undefined;
  readonly system: System;
}

interface WatchedRun {
  readonly endpoint: Endpoint | undefined;
  readonly guard: RunGuard | undefined;
}

/**
 * Performs the machine's effects on the server, one server after the other: spawns or adopts it, watches it, has it
 * prove itself and drain, sends signals, and reports its end. Decides nothing: each result is an event for the machine.
 */
export class ServerLifecycle {
  readonly #options: LifecycleOptions;
  readonly #loop: SupervisorLoop;
  readonly #board: StatusBoard;
  readonly #system: System;
  #run: ServerRun | undefined;
  /** Of the present run; undefined where nothing is judged. */
  #guard: RunGuard | undefined;
  #orphan: Orphan | undefined;
  /** When the last server was seen to be gone; undefined once the next start has begun. */
  #goneMs: number | undefined;

  constructor(options: LifecycleOptions) {
    this.#options = options;
    this.#loop = options.loop;
    this.#board = options.board;
    this.#system = options.system;
    this.#orphan = options.orphan;
  }

  get pid(): number | null {
    return this.#run?.server.pid ?? null;
  }

  get identity(): ProcessIdentity | null {
    return this.#run?.server.identity ?? this.#orphan?.identity ?? null;
  }

  /** Since the present server was started; 0 when there is none. */
  get sinceSpawnMs(): number {
    return this.#run?.sinceMs ?? 0;
  }

  get hasOrphan(): boolean {
    return this.#orphan !== undefined;
  }

  async readMetrics(): Promise<string | undefined> {
    return this.#run?.metrics.read();
  }

  /** The machine has entered a state. */
  onState(name: StateName, before: StateName): void {
    if (name === "preflight") this.#goneMs = undefined;
    if (name === "ready" || name === "unhealthy") this.#run?.watch.enter(name);
    if (name === "stopping" || name === "killing") this.#run?.watch.stop();
    if (before === "proving" || name === "stopping") this.#run?.giveUpAsking();
  }

  /**
   * What is left of a deadline. A backoff counts from the server's end: the work after an exit happens within it and
   * delays the next start no further.
   */
  leftOf(ms: number): number {
    const isBackoff = this.#loop.machine().state.name === "backoff";
    return isBackoff && this.#goneMs !== undefined ? Math.max(0, ms - (this.#system.clock.nowMs() - this.#goneMs)) : ms;
  }

  terminate(): void {
    if (this.#run !== undefined) terminate(this.#run.server.pid, this.#system.processes);
  }

  kill(): void {
    if (this.#run !== undefined) kill(this.#run.server.pid, this.#system.processes);
  }

  async spawn(epoch: number): Promise<void> {
    this.#forgetRun();
    this.#board.runs += 1;
    const { log, lockServer, recordServer } = this.#options;
    const launch = this.#loop.launch();
    let started: StartedServer;
    try {
      started = await startServer({
        launch,
        epoch,
        log,
        lockServer,
        recordServer,
        system: this.#system,
        warn: this.#loop.warn,
      });
    } catch (error) {
      return this.#onExit(epoch, explainSpawnFailure(launch.file, error));
    }
    this.#begin(epoch, started);
    // A stop that was asked for while the process was being spawned found no process to signal.
    const { state } = this.#loop.machine();
    if (state.name === "stopping") this.#try("cannot terminate", () => this.terminate());
    if (state.name === "killing") this.#try("cannot kill", () => this.kill());
  }

  adopt(epoch: number): void {
    const orphan = this.#orphan;
    if (orphan === undefined) return;
    this.#orphan = undefined;
    const { identity, endpoint } = orphan;
    const from = endpoint === undefined ? "all" : "what comes";
    this.#try("cannot read the server's log", () => this.#options.log.resumeRun(from, identity.pid));
    this.#loop.publish(`took over the server (pid ${identity.pid}), which had outlived its supervisor`);
    const server = adoptServer(identity, this.#system);
    const oomKills = this.#system.processes.readOomKills() ?? 0;
    this.#begin(epoch, { server, oomKills, startedMs: this.#system.clock.nowMs() }, endpoint);
  }

  async prove(epoch: number): Promise<void> {
    const result = await this.#run?.prove();
    if (result === undefined || result.kind === "unwanted") return;
    if (epoch === this.#loop.machine().epoch) {
      this.#board.noteProof(result);
      if (result.proof !== undefined) this.#guard?.noteProof(result.proof);
    }
    if (result.kind === "proved") return this.#loop.dispatch({ type: "proved", epoch });
    const cause = this.#options.protocol.proofTexts.explainFailure(result.reason);
    this.#loop.dispatch({ type: "not-proved", epoch, cause });
  }

  async drain(epoch: number): Promise<void> {
    const limit = formatDuration(this.#loop.launch().stopTimeoutMs);
    await this.#run?.drain(() => this.#loop.publish(`waiting for running requests to end, at most ${limit}`));
    this.#loop.dispatch({ type: "drained", epoch });
  }

  #begin(epoch: number, started: StartedServer, endpoint?: Endpoint): void {
    if (endpoint !== undefined) this.#board.endpoint = endpoint;
    const guard = this.#makeGuard();
    this.#guard = guard;
    const run = new ServerRun({
      ...started,
      launch: this.#loop.launch(),
      protocol: this.#options.protocol,
      watch: this.#watch(epoch, started.server.pid, { endpoint, guard }),
      system: this.#system,
      endpoint: () => this.#board.endpoint,
    });
    this.#run = run;
    this.#board.noteSpawn();
    const handled = started.server.exited.then((exit) => this.#onServerExit(epoch, run, exit));
    runInBackground(handled, this.#loop.warn);
    this.#loop.dispatch({ type: "spawned", epoch });
  }

  #makeGuard(): RunGuard | undefined {
    const { launch, machine, publish, fallBack } = this.#loop;
    const { judgeRun, proofTexts } = this.#options.protocol;
    const judge = judgeRun(launch());
    if (judge === undefined) return undefined;
    const guard = new RunGuard({
      judge,
      clock: this.#system.clock,
      isBusy: async () => (await this.#run?.isBusy()) ?? false,
      onJudgement: (judgement) => (this.#board.judgement = judgement),
      onWarning: publish,
      onLoss: (loss) => {
        const isServing = guard === this.#guard && machine().state.name === "ready";
        if (isServing) fallBack(proofTexts.explainFallback(loss, new Date()));
      },
    });
    return guard;
  }

  #watch(epoch: number, pid: number, { endpoint, guard }: WatchedRun): ServerWatch {
    const { protocol, log } = this.#options;
    const { machine, launch, dispatch, publish, publishLoad, warn } = this.#loop;
    return new ServerWatch({
      launch: launch(),
      protocol,
      pid,
      endpoint,
      log,
      system: this.#system,
      onEndpoint: (found) => (this.#board.endpoint = found),
      onHealth: (health) => {
        if (health === "ready" && machine().state.name === "loading") this.#board.loadMs = this.sinceSpawnMs;
        dispatch({ type: "health", epoch, health });
      },
      onLoad: publishLoad,
      onTraffic: (traffic) => this.#board.noteTraffic(traffic),
      onLine: (line, isOwn) => guard?.read(line, isOwn),
      onCaughtUp: () => guard?.look(),
      onSilence: () => dispatch({ type: machine().state.name === "unhealthy" ? "hung" : "stalled", epoch }),
      onLost: () => dispatch({ type: "lost", epoch, cause: workerLost }),
      onLogMoved: () => publish("the server's log was moved or deleted: it goes on in a new file in its place"),
      onResume: (suspendedMs) => runInBackground(this.#examine(epoch, suspendedMs), warn),
      onWarning: warn,
    });
  }

  async #examine(epoch: number, suspendedMs: number): Promise<void> {
    const { dispatch, publish } = this.#loop;
    const run = this.#run;
    publish(
      `the machine was suspended for ${formatDuration(suspendedMs)}; the server is asked whether it still computes`,
    );
    const examination = await run?.examine();
    if (run !== this.#run) return;
    if (examination?.result === "well") publish("the server computes as before the machine was suspended");
    if (examination?.result === "broken") dispatch({ type: "lost", epoch, cause: brokenBySuspend(examination.reason) });
  }

  async #onServerExit(epoch: number, run: ServerRun, exit: ProcessExit): Promise<void> {
    this.#goneMs = this.#system.clock.nowMs();
    const { log } = this.#options;
    const { name } = this.#loop.machine().state;
    const wasReady = name === "ready" || name === "unhealthy";
    this.#try("cannot kill the processes that the server has left behind", () => run.killRest());
    const lastLines = this.#try("cannot read the end of the server's log", () => log.readRunTail(100)) ?? [];
    this.#try("cannot keep the server's log", () => log.endRun());
    await this.#removeSocket();
    this.#onExit(epoch, run.explainExit(exit, { lastLines, wasReady }));
  }

  /** llama-server leaves its socket behind. The next start checks again, so a failure only leaves a file. */
  async #removeSocket(): Promise<void> {
    const { socketPath } = this.#loop.launch();
    if (socketPath === undefined) return;
    try {
      await this.#system.removeStaleSocket(socketPath);
    } catch (error) {
      this.#loop.warn(`cannot remove the server's socket ${socketPath}: ${String(error)}`);
    }
  }

  #onExit(epoch: number, cause: ExitCause): void {
    const { name } = this.#loop.machine().state;
    const isExpected = name === "stopping" || name === "killing" || name === "stuck";
    this.#forgetRun();
    if (!isExpected) this.#board.noteExit(cause);
    const { clock, random } = this.#system;
    this.#loop.dispatch({ type: "exited", epoch, cause, nowMs: clock.nowMs(), random: random() });
  }

  #forgetRun(): void {
    this.#run?.end();
    this.#run = undefined;
    this.#guard = undefined;
    this.#board.startRun(this.#loop.launch());
  }

  #try<T>(what: string, step: () => T): T | undefined {
    return warnOnSystemError(what, step, this.#loop.warn);
  }
}
