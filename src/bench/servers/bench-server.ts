import { lstatSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { LlmctlError } from "../../base/errors.ts";
import { ensureOwnFolder } from "../../base/files/own-folder.ts";
import type { LoadProgress } from "../../control/messages.ts";
import { llamaServerProtocol } from "../../llama/server/server-protocol.ts";
import { explainSpawnFailure, kill, killGroup, terminate } from "../../supervisor/child/server-process.ts";
import type { StartedServer } from "../../supervisor/child/server-run.ts";
import { ServerWatch } from "../../supervisor/child/server-watch.ts";
import { startServer } from "../../supervisor/child/start-server.ts";
import { realSystem, type System } from "../../supervisor/child/system.ts";
import type { Endpoint, ExitCause, Launch } from "../../supervisor/launch.ts";
import { ServerLog } from "../../supervisor/log/server-log.ts";
import { stalled } from "../../supervisor/supervision-causes.ts";
import { warnOnSystemError } from "../../supervisor/warn-on-system-error.ts";
import { benchServerDied } from "./bench-server-died.ts";
import { ProcessorMeter } from "./processor-meter.ts";

export interface BenchServerOptions {
  /** Where the server gets a private folder for its log. */
  readonly folder: string;
  /** Ends the start. */
  readonly signal: AbortSignal;
  readonly onLoad?: ((load: LoadProgress) => void) | undefined;
  readonly system?: System;
}

/** An idle server ends within 0.2 s of a SIGTERM. */
const gentleStopMs = 5000;
/** A killed process may wait for its driver, which frees the memory of a GPU. */
const killedStopMs = 60_000;
/** A killed process closes its sockets first, then frees its memory, and only then is reported as exited. */
const exitAfterHangUpMs = 5000;
/** After an answer a server works for some milliseconds, and the threads of some builds wait busily for 0.2 s. */
const settleMs = 1000;
/** The lines of its log that may explain an exit. */
const lastLines = 100;

/**
 * A llama-server of our own for measurements, in its own session: Ctrl-C does not reach it, and the kernel ends it when
 * this process dies, however that happens. Its log is private, and removed at the end unless the server died.
 */
export class BenchServer implements AsyncDisposable {
  readonly launch: Launch;
  /** When the process is gone: why, or undefined after {@link stop}. */
  readonly exited: Promise<LlmctlError | undefined>;
  readonly #folder: string;
  readonly #log: ServerLog;
  readonly #started: StartedServer;
  readonly #system: System;
  readonly #meter: ProcessorMeter;
  #endpoint: Endpoint | undefined;
  #loadMs: number | undefined;
  #death: LlmctlError | undefined;
  /** An error has named it. */
  #keepsLog = false;
  #stopping: Promise<void> | undefined;

  private constructor(launch: Launch, { folder, log, started, system }: Spawned) {
    this.launch = launch;
    this.#folder = folder;
    this.#log = log;
    this.#started = started;
    this.#system = system;
    this.#meter = new ProcessorMeter(started.server.pid);
    this.exited = this.#untilGone();
  }

  /**
   * Starts a server and waits until it is ready: without a limit of time, as long as it shows signs of life.
   * @throws LlmctlError `bench-server-died` with its cause; the reason of the signal.
   */
  static async start(launch: Launch, options: BenchServerOptions): Promise<BenchServer> {
    options.signal.throwIfAborted();
    const server = new BenchServer(launch, await spawn(launch, options));
    try {
      await server.#untilReady(options);
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  get pid(): number {
    return this.#started.server.pid;
  }

  get endpoint(): Endpoint {
    if (this.#endpoint === undefined) throw new Error("a started server has an endpoint");
    return this.#endpoint;
  }

  /** From the start of the process to its first healthy answer, in milliseconds. */
  get loadMs(): number {
    return this.#loadMs ?? 0;
  }

  get logPath(): string {
    return this.#log.path;
  }

  /** Whether its process has ended by itself. */
  hasDied(): boolean {
    return this.#death !== undefined;
  }

  /** Processor time of the whole process since its start; null when the system does not tell. */
  readCpuMs(): number | null {
    return this.#meter.read()?.cpuMs ?? null;
  }

  /** Time for which its threads were ready to run and had no processor; null when the system does not tell. */
  readWaitMs(): number | null {
    return this.#meter.read()?.waitMs ?? null;
  }

  /** As {@link readCpuMs}, once it does nothing: the numbers of a running thread lag behind. */
  async readSettledCpuMs(): Promise<number | null> {
    const { clock } = this.#system;
    const giveUpMs = clock.nowMs() + settleMs;
    while (!this.#meter.isIdle() && clock.nowMs() < giveUpMs) await clock.sleep(1);
    return this.readCpuMs();
  }

  /** After a connection broke: why the server died; undefined when it lives. */
  findDeath(): Promise<LlmctlError | undefined> {
    return within(this.exited, exitAfterHangUpMs, this.#system.clock).then((ended) => ended.value);
  }

  /**
   * Ends the process and removes its log, which stays when the server died. Safe to repeat.
   * @throws LlmctlError `bench-server-stuck` for a process that does not end although it was killed.
   */
  stop(): Promise<void> {
    return (this.#stopping ??= this.#end());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #untilReady({ signal, onLoad = () => undefined }: BenchServerOptions): Promise<void> {
    const { clock } = this.#system;
    await new Promise<void>((resolve, reject) => {
      const watch = new ServerWatch({
        launch: this.launch,
        protocol: llamaServerProtocol,
        pid: this.pid,
        endpoint: undefined,
        log: this.#log,
        system: this.#system,
        onEndpoint: (endpoint) => (this.#endpoint = endpoint),
        onHealth: (health) => health === "ready" && end(resolve),
        onLoad,
        onSilence: () => end(() => reject(this.#died(stalled(this.launch)))),
        onTraffic: ignore,
        onLine: ignore,
        onCaughtUp: ignore,
        onLost: ignore,
        onLogMoved: ignore,
        onResume: ignore,
        onWarning: ignore,
      });
      const end = (settle: () => void) => {
        watch.stop();
        signal.removeEventListener("abort", onAbort);
        settle();
      };
      const onAbort = () => end(() => reject(signal.reason as Error));
      signal.addEventListener("abort", onAbort);
      if (signal.aborted) onAbort();
      void this.exited.then((death) => death !== undefined && end(() => reject(death))); // never rejects
    });
    this.#loadMs = clock.nowMs() - this.#started.startedMs;
  }

  async #untilGone(): Promise<LlmctlError | undefined> {
    const { server, oomKills } = this.#started;
    const { processes } = this.#system;
    const exit = await server.exited;
    if (this.#stopping !== undefined) return undefined;
    warnOnSystemError("cannot kill what the server has left behind", () => killGroup(server.pid, processes), ignore);
    const tail = warnOnSystemError("cannot read its log", () => this.#log.readRunTail(lastLines), ignore) ?? [];
    const cause = llamaServerProtocol.explainExit({
      ...exit,
      name: this.launch.name,
      lastLines: tail,
      oomKills: (processes.readOomKills() ?? 0) - oomKills,
      wasReady: this.#loadMs !== undefined,
    });
    this.#death = this.#died(cause);
    return this.#death;
  }

  #died(cause: ExitCause): LlmctlError {
    this.#keepsLog = true;
    return benchServerDied(cause, this.logPath);
  }

  async #end(): Promise<void> {
    try {
      if (!this.hasDied()) await this.#endProcess();
    } finally {
      this.#log.close();
      if (!this.#keepsLog) removeFolder(this.#folder);
    }
  }

  async #endProcess(): Promise<void> {
    const { clock, processes } = this.#system;
    const { server } = this.#started;
    terminate(server.pid, processes);
    if ((await within(server.exited, gentleStopMs, clock)).isOver) return;
    kill(server.pid, processes);
    if ((await within(server.exited, killedStopMs, clock)).isOver) return;
    throw new LlmctlError("bench-server-stuck", `process ${server.pid} does not end although it was killed`, {
      exit: "failed",
      at: this.launch.file,
      fix: "a driver or a network disk may hold it: see the kernel's log",
    });
  }
}

interface Spawned {
  readonly folder: string;
  readonly log: ServerLog;
  readonly started: StartedServer;
  readonly system: System;
}

async function spawn(launch: Launch, options: BenchServerOptions): Promise<Spawned> {
  const missing = await llamaServerProtocol.checkNeeds(launch);
  if (missing !== undefined) throw benchServerDied(missing, launch.file);
  ensureOwnFolder(options.folder);
  removeOldLogs(options.folder);
  const folder = mkdtempSync(join(options.folder, logPrefix));
  try {
    return await spawnIn(folder, launch, options);
  } catch (error) {
    removeFolder(folder);
    throw error;
  }
}

const logPrefix = "server-";
/** Longer than any bench, and than anybody wants to read the log of a server that died. */
const logsStayMs = 7 * 24 * 3600 * 1000;

/** Logs of servers that died, and those of a process that was killed: at full verbosity they are large. */
function removeOldLogs(folder: string): void {
  for (const name of readdirSync(folder).filter((one) => one.startsWith(logPrefix))) {
    const info = lstatSync(join(folder, name), { throwIfNoEntry: false });
    if (info?.isDirectory() && info.mtimeMs < Date.now() - logsStayMs) removeFolder(join(folder, name));
  }
}

async function spawnIn(folder: string, launch: Launch, { system = realSystem }: BenchServerOptions): Promise<Spawned> {
  // Never rotated: the trace of a draft is in it.
  const log = new ServerLog(join(folder, "server.log"), { maxBytes: Infinity, keep: 0 });
  try {
    // Nobody looks for this server after our end, so there is no lock: it inherits its log once more.
    const registry = { lockServer: async () => log.fd, recordServer: ignore };
    const started = await startServer({ launch, epoch: 1, log, system, warn: ignore, ...registry });
    return { folder, log, started, system };
  } catch (error) {
    log.close();
    throw benchServerDied(explainSpawnFailure(launch.file, error), launch.file);
  }
}

function ignore(): void {
  // a bench tells nobody
}

function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

type Ended<T> = { readonly isOver: true; readonly value: T } | { readonly isOver: false; readonly value?: undefined };

/** Waits for work, at most for a time. */
async function within<T>(work: Promise<T>, ms: number, clock: Clock): Promise<Ended<T>> {
  let cancel = ignore;
  const timeOver = new Promise<Ended<T>>((resolve) => (cancel = clock.setTimer(ms, () => resolve({ isOver: false }))));
  try {
    return await Promise.race([work.then((value) => ({ isOver: true, value }) as const), timeOver]);
  } finally {
    cancel();
  }
}
