import { join } from "node:path";
import type { ExitName } from "../base/exit-codes.ts";
import { LlmctlError } from "../base/errors.ts";
import type { Paths } from "../base/paths.ts";
import type { Status, StatusEvent } from "../control/messages.ts";
import { MetricsServer } from "../control/metrics-server.ts";
import { ControlServer } from "../control/server.ts";
import { controlSocketPath } from "../control/socket-path.ts";
import { EventLog, eventLogPath } from "./event-log.ts";
import type { ExitCause, Launch, ServerProtocol } from "./launch.ts";
import { takeLock, unwritable, type Lock } from "./lock.ts";
import { Metrics } from "./metrics.ts";
import { findAdoptable, takeOwnership, takeServerLock } from "./ownership.ts";
import { checkFiles } from "./file-check.ts";
import { checkHost, checkPort } from "./port-check.ts";
import { identifyProcess } from "./process-identity.ts";
import { stateFilePath, writeFirstState, writeState, type StateRecord } from "./state-file.ts";
import { Supervisor, type SupervisorOptions } from "./supervisor.ts";

export interface SuperviseOptions extends Pick<SupervisorOptions, "plan" | "isPatient"> {
  readonly launch: Launch;
  readonly protocol: ServerProtocol;
  readonly paths: Paths;
  readonly onEvent: (event: StatusEvent) => void;
}

/** A supervisor at work in this process. */
export interface Supervision {
  /** Resolves when the server is gone and nothing of ours is left but the state file and the logs. */
  readonly finished: Promise<ExitName>;
  status(): Status;
  /** Whether somebody asked for a stop over the control socket, rather than by a signal to this process. */
  wasAskedToStop(): boolean;
  down(): void;
  forceDown(): void;
}

/**
 * Runs the one supervisor of a profile in this process: takes the lock, opens the control socket, keeps the state file, starts the server.
 * @throws LlmctlError `already-running` when another one runs, `state-unwritable`, `lock-failed`, `socket-path-too-long` …
 */
export async function supervise({ launch, protocol, paths, onEvent, plan, isPatient }: SuperviseOptions): Promise<Supervision> {
  const socketPath = controlSocketPath(paths.runtime, launch.name);
  const lock = await takeOwnership(paths, launch.name);
  if (lock === undefined) throw alreadyRunning(launch.name);
  const orphan = await findAdoptable(paths, launch);
  // An orphan holds it for as long as it lives.
  let serverLock = orphan === undefined ? await takeServerLock(paths.runtime, launch.name) : undefined;
  const ports = new PortLock(paths.runtime);
  const supervisor = openSupervisor(join(paths.state, launch.name), {
    launch,
    protocol,
    orphan,
    plan,
    isPatient,
    lockServer: async () => (serverLock ??= await takeServerLock(paths.runtime, launch.name)).fd,
    noteServer: (server) => serverLock?.note(server),
    preflight: async (coming) => {
      await offerMetrics(metricsServer, coming, (text) => supervisor.warn(text));
      return takePort(ports, coming) ?? (await checkAddress(coming)) ?? (await checkFiles(coming)) ?? protocol.checkNeeds(coming);
    },
    onEvent: (event) => {
      if (event.isProgress) return tell(event);
      events.append(event);
      saver.save();
      if (event.end === undefined) tell(event);
    },
  });
  const tell = (event: StatusEvent) => {
    control.publish(event);
    onEvent(event);
  };
  const metrics = new Metrics(supervisor);
  const metricsServer = new MetricsServer(() => metrics.read());
  const events = new EventLog(eventLogPath(paths.state, launch.name), (text) => supervisor.warn(text));
  const saver = new StateSaver(paths.state, supervisor);
  await saver.saveFirst();
  let wasAskedToStop = false;
  const control = new ControlServer(socketPath, {
    status: () => supervisor.status(),
    metrics: () => metrics.read(),
    lastEvent: () => ({ ...supervisor.lastEvent, status: supervisor.status() }),
    stop: async (force) => {
      wasAskedToStop = true;
      if (force) supervisor.forceDown();
      else supervisor.down();
      await finished;
      return supervisor.status();
    },
    restart: (next) => supervisor.restart(next === undefined ? undefined : checkLaunch(next, launch)),
  });
  await control.listen();
  const finished = supervisor.finished.then(async (exit) => {
    // Whoever hears the last word may read the state file at once, and whoever takes the lock next writes it.
    await saver.settled();
    tell(supervisor.lastEvent);
    control.close();
    metricsServer.close();
    ports.release();
    serverLock?.release();
    lock.release();
    return exit;
  });
  // An orphan uses its own port; should another profile have locked it meanwhile, the next start finds that out.
  if (orphan !== undefined) takePort(ports, launch);
  supervisor.up();
  return {
    finished,
    status: () => supervisor.status(),
    wasAskedToStop: () => wasAskedToStop,
    down: () => supervisor.down(),
    forceDown: () => supervisor.forceDown(),
  };
}

async function checkAddress(launch: Launch): Promise<ExitCause | undefined> {
  return launch.port === 0 ? checkHost(launch.host) : checkPort(launch);
}

function openSupervisor(folder: string, options: Omit<SupervisorOptions, "folder">): Supervisor {
  try {
    return new Supervisor({ ...options, folder });
  } catch (cause) {
    throw unwritable(join(folder, "server.log"), cause);
  }
}

/** Nobody's server is kept from starting because nobody can watch it. */
async function offerMetrics(server: MetricsServer, { host, metricsPort }: Launch, warn: (text: string) => void): Promise<void> {
  try {
    await server.listen(host, metricsPort);
  } catch (error) {
    warn(`no metrics on port ${metricsPort}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Holds the fixed port of the present launch: two profiles may name one port, and builds up to b8390 would both listen on it. */
class PortLock {
  readonly #runtimeDir: string;
  #port = 0;
  #lock: Lock | undefined;

  constructor(runtimeDir: string) {
    this.#runtimeDir = runtimeDir;
  }

  /** @returns why the port cannot be had, or undefined. */
  take({ port }: Launch): ExitCause | undefined {
    if (port === this.#port) return undefined;
    this.release();
    const lock = port === 0 ? undefined : takeLock(join(this.#runtimeDir, "ports", `${port}.lock`));
    if (port !== 0 && lock === undefined) return takenByProfile(port);
    this.#lock = lock;
    this.#port = port;
    return undefined;
  }

  release(): void {
    this.#lock?.release();
    this.#lock = undefined;
    this.#port = 0;
  }
}

function takePort(ports: PortLock, launch: Launch): ExitCause | undefined {
  try {
    return ports.take(launch);
  } catch (error) {
    if (!(error instanceof LlmctlError)) throw error;
    const { code: kind, message, exit, fix } = error;
    return { kind, message, exit, ...(fix === undefined ? {} : { fix }), permanent: true };
  }
}

function takenByProfile(port: number): ExitCause {
  return {
    kind: "port-in-use",
    message: `port ${port} is taken by another profile`,
    fix: 'run "llmctl ps" to see which one; stop it, or set another server.port',
    permanent: true,
    mayCome: true,
    exit: "unavailable",
  };
}

/** The socket is open to our own user only; this catches a client of another version, not an attacker. */
function checkLaunch(value: unknown, { name, protocol }: Launch): Launch {
  const launch = value as Launch;
  if (launch.name !== name || typeof launch.file !== "string" || !Array.isArray(launch.args)) {
    throw new Error(`the request does not carry a launch of "${name}"`);
  }
  if (launch.protocol !== protocol) throw new Error(`"${name}" has become a profile of another kind: stop it, then start it anew`);
  return launch;
}

function alreadyRunning(name: string): LlmctlError {
  return new LlmctlError("already-running", `"${name}" is already running`, { exit: "busy", fix: `see "llmctl status ${name}"` });
}

/** Keeps the state file up to date, one write at a time; of several changes meanwhile the last is written. */
class StateSaver {
  readonly #stateDir: string;
  readonly #supervisor: Supervisor;
  readonly #self = identifyProcess(process.pid) ?? { pid: process.pid, startTime: "", bootId: "" };
  #writing: Promise<void> | undefined;
  #again = false;

  constructor(stateDir: string, supervisor: Supervisor) {
    this.#stateDir = stateDir;
    this.#supervisor = supervisor;
  }

  /** Proves that the state can be kept, before anything is started. @throws LlmctlError `state-unwritable`. */
  async saveFirst(): Promise<void> {
    try {
      await writeFirstState(this.#stateDir, this.#record());
    } catch (error) {
      throw this.#unwritable(error);
    }
  }

  save(): void {
    if (this.#writing === undefined) this.#writing = this.#write();
    else this.#again = true;
  }

  async settled(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    do {
      this.#again = false;
      try {
        await writeState(this.#stateDir, this.#record());
      } catch (error) {
        this.#supervisor.warn(this.#unwritable(error).message);
      }
    } while (this.#again);
    this.#writing = undefined;
  }

  #record(): StateRecord {
    const { server, stopTimeoutMs } = this.#supervisor;
    return { status: this.#supervisor.status(), supervisor: this.#self, server, stopTimeoutMs };
  }

  #unwritable(error: unknown): LlmctlError {
    return unwritable(stateFilePath(this.#stateDir, this.#supervisor.status().name), error);
  }
}
