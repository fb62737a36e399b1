import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import type { ExitName } from "../base/exit-codes.ts";
import { LlmctlError } from "../base/errors.ts";
import type { Paths } from "../base/files/paths.ts";
import type { Status, StatusEvent } from "../control/messages.ts";
import { MetricsServer } from "../control/metrics-server.ts";
import { ControlServer } from "../control/server.ts";
import { listSocketPlaces } from "../control/socket-path.ts";
import { checkLaunch } from "./check-launch.ts";
import { forbidCoreDumps } from "./child/core-dumps.ts";
import { EventLog, eventLogPath } from "./log/event-log.ts";
import { EventQueue } from "./event-queue.ts";
import type { ExitCause, Launch, ServerProtocol } from "./launch.ts";
import { stateUnwritable } from "./state/file-lock.ts";
import { MetricsSource } from "./metrics-source.ts";
import { findAdoptable, type Orphan } from "./state/orphan.ts";
import { takeSupervisorLock } from "./state/profile-locks.ts";
import { Registration } from "./state/registration.ts";
import { checkHostAddress, checkPort } from "./port/port-check.ts";
import { PortLock } from "./port/port-lock.ts";
import { StateSaver } from "./state/state-saver.ts";
import { checkFiles } from "./file-check.ts";
import { Supervisor, type SupervisorOptions } from "./supervisor.ts";

export interface SuperviseOptions extends Pick<SupervisorOptions, "plan" | "isPatient"> {
  readonly launch: Launch;
  readonly protocol: ServerProtocol;
  readonly paths: Paths;
  readonly onEvent: (event: StatusEvent) => void;
}

/** A supervisor at work in this process. */
export interface Supervision {
  /** Resolves when the server is gone and only the state file and the logs are left. */
  readonly finished: Promise<ExitName>;
  /** Resolves when the first reader of events has connected. */
  readonly firstReader: Promise<void>;
  readonly socketPath: string;
  /** Starts the server; until then there is only the socket. */
  start(): void;
  status(): Status;
  /** Whether a stop was requested over the control socket, rather than by a signal to this process. */
  wasAskedToStop(): boolean;
  /** @param by Who asks, in words. */
  down(by: string): void;
  forceDown(by: string): void;
}

/**
 * Makes this process the one supervisor of a profile: takes the lock, opens the control socket, keeps the state file.
 * `start()` then starts the server.
 * @throws LlmctlError `already-running` when another one runs, `state-unwritable`, `lock-failed`,
 *   `socket-path-too-long`, `foreign-folder` …
 */
export async function supervise({
  launch,
  protocol,
  paths,
  onEvent,
  plan,
  isPatient,
}: SuperviseOptions): Promise<Supervision> {
  // V8 collects type feedback from a function's eighth call on. After a crash, when somebody waits, most functions here
  // are called for the second time only: collect it from the first call.
  setFlagsFromString("--no-lazy-feedback-allocation");
  const { name } = launch;
  const socketPlaces = listSocketPlaces(paths, name);
  const lock = await takeSupervisorLock(paths, name);
  if (lock === undefined) throw alreadyRunning(name);
  const orphan = await findAdoptable(paths, launch);
  const registration = new Registration({ paths, name, lock, warn: (text) => supervisor.warn(text) });
  if (orphan === undefined) await registration.lockServer();
  const ports = new PortLock(paths.state);
  const supervisor = openSupervisor(join(paths.state, name), {
    launch,
    protocol,
    orphan,
    plan,
    isPatient,
    lockServer: () => registration.lockServer(),
    recordServer: (server) => registration.recordServer(server),
    preflight: async (coming) => {
      await offerMetrics(metricsServer, metrics, coming, (text) => supervisor.warn(text));
      const [address, files] = await Promise.all([takeAddress(ports, coming), checkFiles(coming)]);
      // Only after the two: a profile that still has the address may have the workers, too.
      return address ?? files ?? protocol.checkNeeds(coming);
    },
    onEvent: (event) => queue.add(event),
  });
  const queue = new EventQueue((event) => {
    if (event.isProgress) return tell(event);
    events.append(event);
    saver.save();
    if (event.end === undefined) tell(event);
  });
  const tell = (event: StatusEvent) => {
    control.publish(event);
    onEvent(event);
  };
  const metrics = new MetricsSource(supervisor);
  const metricsServer = new MetricsServer({ read: () => metrics.read(), onFailure: (text) => supervisor.warn(text) });
  const events = new EventLog(eventLogPath(paths.state, name), (text) => supervisor.warn(text));
  const saver = new StateSaver({ stateDir: paths.state, supervisor, socketPath: () => control.socketPath });
  let wasAskedToStop = false;
  const control = new ControlServer({
    status: () => supervisor.status(),
    metrics: () => metrics.read(),
    lastEvent: () => {
      queue.flush(); // otherwise a new reader would get an event twice
      return { ...supervisor.lastEvent, status: supervisor.status() };
    },
    eventsOfStart: () => {
      queue.flush();
      return supervisor.eventsOfStart;
    },
    stop: async ({ force, by }) => {
      wasAskedToStop = true;
      const overruledBy = await supervisor.stop(by, force);
      wasAskedToStop = overruledBy === undefined;
      if (overruledBy !== undefined) throw overruled(name, overruledBy);
      await finished;
      return supervisor.status();
    },
    restart: ({ launch: next, by, llmctl }) =>
      supervisor.restart(next === undefined ? undefined : checkLaunch(next, launch, llmctl), by),
    onFailure: (text) => supervisor.warn(text),
  });
  const release = () => {
    control.close();
    metricsServer.close();
    ports.release();
    registration.release();
  };
  // Made before the socket: a stop may be requested as soon as the socket exists.
  const finished = supervisor.finished.then(async (exit) => {
    // A reader of the last event may read the state file at once, and the next holder of the lock writes it.
    await registration.leave();
    await saver.settled();
    tell(supervisor.lastEvent);
    release();
    return exit;
  });
  try {
    await saver.saveFirst();
    await openSocket(control, socketPlaces);
    recordInLocks(registration, control.socketPath, { orphan, launch, folder: join(paths.state, name) });
  } catch (error) {
    // An open socket would keep this process alive and the profile locked.
    release();
    throw error;
  }
  await forbidCoreDumps((text) => supervisor.warn(text));
  registration.keep({ control, saver, everyMs: () => supervisor.healthIntervalMs });
  // An orphan uses its own port. If another profile has locked that port meanwhile, the next start reports it.
  if (orphan !== undefined) await ports.take(launch);
  return {
    finished,
    firstReader: control.firstReader,
    socketPath: control.socketPath,
    start: () => supervisor.up(),
    status: () => supervisor.status(),
    wasAskedToStop: () => wasAskedToStop,
    down: (by) => supervisor.down(by),
    forceDown: (by) => supervisor.forceDown(by),
  };
}

async function openSocket(control: ControlServer, places: readonly string[]): Promise<void> {
  try {
    await control.listen(places);
  } catch (cause) {
    throw stateUnwritable(places.at(-1) ?? "", cause);
  }
}

interface RecordedInLocks {
  readonly launch: Launch;
  readonly orphan: Orphan | undefined;
  readonly folder: string;
}

function recordInLocks(
  registration: Registration,
  socketPath: string,
  { launch, orphan, folder }: RecordedInLocks,
): void {
  try {
    registration.recordSocket(socketPath);
    const { hash, stopTimeoutMs } = launch;
    if (orphan !== undefined) registration.adoptServer({ identity: orphan.identity, hash, stopTimeoutMs });
  } catch (cause) {
    throw stateUnwritable(join(folder, "lock"), cause);
  }
}

async function takeAddress(ports: PortLock, launch: Launch): Promise<ExitCause | undefined> {
  const taken = await ports.take(launch);
  if (taken !== undefined) return taken;
  const isFree = launch.port === 0 && launch.socketPath === undefined;
  return isFree ? checkHostAddress(launch.host) : checkPort(launch);
}

function openSupervisor(folder: string, options: Omit<SupervisorOptions, "folder">): Supervisor {
  try {
    return new Supervisor({ ...options, folder });
  } catch (cause) {
    throw stateUnwritable(join(folder, "server.log"), cause);
  }
}

/** A metrics port that cannot be opened is a warning: it must not keep the server from starting. */
async function offerMetrics(
  server: MetricsServer,
  metrics: MetricsSource,
  { host, metricsPort }: Launch,
  warn: (text: string) => void,
): Promise<void> {
  try {
    await server.listen(host, metricsPort);
  } catch (error) {
    warn(`no metrics on port ${metricsPort}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function alreadyRunning(name: string): LlmctlError {
  return new LlmctlError("already-running", `"${name}" is already running`, {
    exit: "busy",
    fix: { before: "see", run: ["status", name] },
  });
}

function overruled(name: string, by: string): LlmctlError {
  return new LlmctlError("overruled", `"${name}" was not stopped: ${by} asked for a restart after this`, {
    exit: "busy",
    fix: { before: "see", run: ["status", name], or: { before: "stop it again:", run: ["down", name] } },
  });
}
