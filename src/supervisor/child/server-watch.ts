import type { QuietWatch } from "../../base/files/watch-quietly.ts";
import { type Clock, limitOf, longestTimerMs } from "../../base/clock.ts";
import type { LoadProgress } from "../../control/messages.ts";
import type { Endpoint, Health, Launch, ServerProtocol, TokenTraffic } from "../launch.ts";
import { plannedEndpoint } from "./endpoint.ts";
import { Heartbeat } from "./heartbeat.ts";
import { LoadMeter } from "./load-meter.ts";
import { ServerLogReader } from "../log/server-log-reader.ts";
import { OwnRequestFilter } from "./own-request-filter.ts";
import type { ServerLog } from "../log/server-log.ts";
import { ActivityMeter } from "./activity-meter.ts";
import { SuspendMeter } from "./suspend-meter.ts";
import type { System } from "./system.ts";
import { warnOnSystemError } from "../warn-on-system-error.ts";

/** What the watch waits for: the end of a load, a failed check, or the recovery of an unhealthy server. */
export type WatchPhase = "loading" | "ready" | "unhealthy";

interface WatchOptions {
  readonly launch: Launch;
  readonly protocol: ServerProtocol;
  readonly pid: number;
  /** The server's endpoint, when it is known before the log tells it. */
  readonly endpoint: Endpoint | undefined;
  readonly log: ServerLog;
  readonly system: System;
  readonly onEndpoint: (endpoint: Endpoint) => void;
  readonly onHealth: (health: Health) => void;
  readonly onLoad: (load: LoadProgress) => void;
  /** A request has ended. */
  readonly onTraffic: (traffic: TokenTraffic) => void;
  /** Each line of a serving server, after {@link onTraffic}. @param isOwn It tells about a request of our own. */
  readonly onLine: (line: string, isOwn: boolean) => void;
  /** All lines that there were have been read. */
  readonly onCaughtUp: () => void;
  /** No sign of life for the time that the phase allows. */
  readonly onSilence: () => void;
  /** An RPC worker of the server is gone; the server does not reconnect. */
  readonly onLost: () => void;
  /** The log file was moved or deleted, and a new one was created in its place. */
  readonly onLogMoved: () => void;
  /** The machine was suspended for this long while the server was up. */
  readonly onResume: (suspendedMs: number) => void;
  /** Something failed that does not affect the server. */
  readonly onWarning: (text: string) => void;
}

/** During a load the log triggers checks; this timer is for a server that logs nothing. */
const loadingIntervalMs = 250;
/** llama-server logs "model loaded" some milliseconds before or after /health turns to 200. */
const recheckMs = 3;
const rechecks = 10;
/** Health checks per heartbeat, which costs the main loop a little time. */
const checksABeat = 6;
/** More than a server logs between two reads, unless it logs everything; older bytes are skipped. */
const mostLogBytes = 1 << 20;
/**
 * A check that exceeds its time limit by this much means that we were stopped or suspended, not that the server failed.
 */
const lagMs = 1000;

/** Watches one run of a server: health checks, endpoint, load, traffic, signs of life. */
export class ServerWatch {
  readonly #options: WatchOptions;
  readonly #abort = new AbortController();
  readonly #watcher: QuietWatch;
  #phase: WatchPhase = "loading";
  #endpoint: Endpoint | undefined;
  #cancelTick: () => void = () => undefined;
  #nextTickMs = 0;
  #checking = false;
  #rechecksLeft = 0;
  /** Two readers: clients may be served, and logged, before the load counts as ended. */
  readonly #loadLines: ServerLogReader;
  readonly #trafficLines: ServerLogReader;
  #isLogReadable = true;
  /** Bytes of the log about our own health checks. */
  #ownLogBytes = 0;
  readonly #own = new OwnRequestFilter();
  readonly #meter: LoadMeter;
  #heartbeat: Heartbeat | undefined;
  readonly #life: ActivityMeter;
  readonly #suspends: SuspendMeter;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#loadLines = new ServerLogReader(options.log);
    this.#trafficLines = new ServerLogReader(options.log);
    const { pid, system } = options;
    const readBytesTaken = () => system.processes.readBytesTaken(pid);
    this.#meter = new LoadMeter(options.launch.files, readBytesTaken);
    const readSigns = () => ({
      logBytes: this.#readLogBytes(),
      cpuTicks: system.processes.readCpuTicks(pid),
      taken: readBytesTaken(),
    });
    this.#life = new ActivityMeter(readSigns, system.clock.nowMs());
    this.#suspends = new SuspendMeter(system.sinceBootMs(), system.clock.nowMs());
    const endpoint = options.endpoint ?? plannedEndpoint(options.launch);
    if (endpoint !== undefined) this.#setEndpoint(endpoint);
    // Without a file watch (too many watches, file removed) the timer does the same a little later.
    this.#watcher = system.watchFile(options.log.path, () => this.#onLogChange());
    this.#onLogChange();
    this.#schedule(0);
  }

  /** Changes the phase. */
  enter(phase: WatchPhase): void {
    if (phase === this.#phase) return;
    this.#phase = phase;
    this.#life.startAnew(this.#clock.nowMs());
    if (phase !== "loading") this.#watcher.close();
    this.#heartbeat ??= this.#startHeartbeat();
    this.#schedule(this.#intervalMs());
  }

  /** Excludes this many requests from the traffic of clients. */
  noteOwnRequests(count: number): void {
    this.#own.add(count);
  }

  stop(): void {
    this.#abort.abort();
    this.#watcher.close();
    this.#cancelTick();
  }

  #startHeartbeat(): Heartbeat | undefined {
    const { protocol, launch } = this.#options;
    const endpoint = this.#endpoint;
    if (endpoint === undefined) return undefined;
    return new Heartbeat((signal) => protocol.askMainLoop(launch, endpoint, signal), {
      everyMs: checksABeat * launch.health.intervalMs,
      nowMs: this.#clock.nowMs(),
      signal: this.#abort.signal,
    });
  }

  #intervalMs(): number {
    return this.#phase === "loading" ? loadingIntervalMs : this.#options.launch.health.intervalMs;
  }

  /** Longest wait for an answer. */
  get #timeoutMs(): number {
    return Math.min(limitOf(this.#options.launch.health.timeoutMs), longestTimerMs);
  }

  #schedule(delayMs: number): void {
    this.#cancelTick();
    this.#nextTickMs = this.#clock.nowMs() + delayMs;
    if (!this.#abort.signal.aborted) this.#cancelTick = this.#clock.setTimer(delayMs, () => this.#tick());
  }

  /** One look. Whatever fails in it, the next look is scheduled and the health check is sent. */
  #tick(): void {
    // We were stopped or suspended, perhaps with the server: that was no silence, and answers wait to be read.
    const wasAway = this.#clock.nowMs() - this.#nextTickMs > lagMs;
    if (wasAway) this.#life.startAnew(this.#clock.nowMs());
    if (this.#phase === "loading") this.#followLoad();
    else this.#serve();
    const moves = this.#lookForLife();
    this.#schedule(this.#intervalMs());
    if (!wasAway && this.#waitsForMainLoop()) this.#options.onHealth(moves ? "ready" : "timeout");
    else void this.#check(); // handles its own failures
  }

  /**
   * Whether a heartbeat is late. Then no other request is sent: answers to our own requests look like signs of life.
   */
  #waitsForMainLoop(): boolean {
    const nowMs = this.#clock.nowMs();
    this.#heartbeat?.beat(nowMs);
    return (this.#heartbeat?.waitedMs(nowMs) ?? 0) > this.#timeoutMs;
  }

  #followLoad(): void {
    this.#readLoadLog();
    this.#keepLog(() => this.#lookAtLog());
    if (this.#endpoint === undefined) this.#findUnlogged();
    const load = this.#meter.measure();
    if (load !== undefined) this.#options.onLoad(load);
  }

  #serve(): void {
    const { launch, pid, system, onLost, onResume } = this.#options;
    this.#serveLog();
    const suspendedMs = this.#suspends.look(system.sinceBootMs(), this.#clock.nowMs());
    if (suspendedMs > 0) onResume(suspendedMs);
    const workers = launch.rpcWorkers.map((worker) => Number(worker.split(":")[1]));
    if (workers.length > 0 && system.processes.hasLostPeer(pid, workers, this.#ownPort())) onLost();
  }

  get #clock(): Clock {
    return this.#options.system.clock;
  }

  #ownPort(): number | undefined {
    return this.#endpoint !== undefined && "port" in this.#endpoint ? this.#endpoint.port : undefined;
  }

  #serveLog(): void {
    const { launch, log, onWarning } = this.#options;
    if (launch.watchTraffic) this.#keepLog(() => this.#readTraffic());
    if (log.isDiskFull)
      onWarning(`no space left on the disk of ${log.path}: the server goes on, what it logs meanwhile is lost`);
    this.#keepLog(() => this.#lookAtLog());
    this.#keepLog(() => log.rotateIfLarge() && this.#trafficLines.startAnew());
  }

  /** A failure of the log is only a warning: the server goes on. */
  #keepLog<T>(step: () => T): T | undefined {
    return warnOnSystemError("cannot keep the server's log", step, this.#options.onWarning);
  }

  #lookAtLog(): void {
    if (this.#options.log.look()) this.#options.onLogMoved();
  }

  #readLogBytes(): number {
    return (this.#keepLog(() => this.#options.log.sizeBytes) ?? 0) - this.#ownLogBytes;
  }

  #readTraffic(): void {
    const { protocol, onTraffic, onLine, onCaughtUp } = this.#options;
    for (const line of this.#trafficLines.read(mostLogBytes)) {
      const traffic = protocol.parseTraffic(line);
      const isOwn = traffic !== undefined && this.#own.includes(traffic);
      if (traffic !== undefined && !isOwn) onTraffic(traffic);
      onLine(line, isOwn);
    }
    onCaughtUp();
  }

  #onLogChange(): void {
    if (this.#phase !== "loading" || this.#abort.signal.aborted) return;
    if (this.#readLoadLog()) void this.#check(); // handles its own failures
  }

  /**
   * Reads the new lines of the log.
   * @returns whether a line calls for a health check: not every line does, since a build that logs health checks would
   *   then be checked without end.
   */
  #readLoadLog(): boolean {
    let isWorthAsking = false;
    const lines = this.#keepLog(() => [...this.#loadLines.read(mostLogBytes)]);
    this.#isLogReadable = lines !== undefined;
    for (const line of lines ?? []) {
      const said = this.#options.protocol.parseLoadLine(line);
      if (said?.says === "asked") this.#ownLogBytes += line.length + 1;
      if (said?.says === "listening" && this.#endpoint === undefined) this.#setEndpoint(said.endpoint);
      if (said?.says === "listening" || said?.says === "loaded") isWorthAsking = true;
    }
    if (isWorthAsking) this.#rechecksLeft = rechecks;
    return isWorthAsking;
  }

  /** Asks the system for the server's port when the log is lost (full disk) or unreadable. */
  #findUnlogged(): void {
    const { log, pid, launch, system } = this.#options;
    const port = log.isDiskFull || !this.#isLogReadable ? system.processes.findListeningPort(pid) : undefined;
    if (port !== undefined) this.#setEndpoint({ host: launch.host, port });
  }

  #setEndpoint(endpoint: Endpoint): void {
    this.#endpoint = endpoint;
    this.#options.onEndpoint(endpoint);
  }

  /** One health check; never two at a time. */
  async #check(): Promise<void> {
    if (this.#checking || this.#endpoint === undefined) return;
    this.#checking = true;
    const { protocol, onHealth } = this.#options;
    const startedMs = this.#clock.nowMs();
    const health = await protocol.checkHealth(this.#endpoint, this.#timeoutMs, this.#abort.signal);
    this.#checking = false;
    if (this.#abort.signal.aborted) return;
    if (this.#clock.nowMs() - startedMs > this.#timeoutMs + lagMs) return;
    onHealth(health);
    if (this.#phase !== "loading" || health === "ready" || this.#rechecksLeft === 0) return;
    this.#rechecksLeft -= 1;
    this.#clock.setTimer(recheckMs, () => void this.#check()); // handles its own failures
  }

  /** @returns whether there was a sign of life since the last look. */
  #lookForLife(): boolean {
    const { launch, onSilence } = this.#options;
    const nowMs = this.#clock.nowMs();
    if (this.#life.look(nowMs)) return true;
    const { stallTimeoutMs, hangTimeoutMs } = launch.health;
    const limits = { loading: limitOf(stallTimeoutMs), ready: Infinity, unhealthy: limitOf(hangTimeoutMs) };
    if (this.#life.silentMs(nowMs) > limits[this.#phase]) onSilence();
    return false;
  }
}
