import { type Clock, systemClock } from "../../base/clock.ts";
import { LlmctlError } from "../../base/errors.ts";
import type { Status } from "../../control/messages.ts";
import { parseUrl } from "../child/endpoint.ts";
import { type SupervisorFolders, serverLockPath } from "./find-supervisor.ts";
import type { Endpoint, Launch } from "../launch.ts";
import { findListeningPort } from "../port/listening-sockets.ts";
import { type Flock, isLocked } from "./file-lock.ts";
import { findLockHolder, holdsLock } from "./proc-locks.ts";
import { readLockRecord, type LockedServer } from "./lock-record.ts";
import { hasArguments, isOwnProcess, isRunning, type ProcessIdentity } from "./process-identity.ts";
import { killGroup, terminate } from "../child/server-process.ts";
import { readState } from "./state-file.ts";

/** The exit of a process that is not our child must be polled. */
const lookEveryMs = 20;
/** Time for a killed llama-server to free its memory. */
const killWaitMs = 30_000;

/** What is asked of the machine's processes, and done to them. */
interface ForeignProcesses {
  readonly isRunning: typeof isRunning;
  readonly isOwnProcess: typeof isOwnProcess;
  readonly hasArguments: typeof hasArguments;
  readonly holdsLock: typeof holdsLock;
  readonly findLockHolder: typeof findLockHolder;
  readonly findListeningPort: typeof findListeningPort;
  readonly terminate: typeof terminate;
  readonly killGroup: typeof killGroup;
}

const systemForeignProcesses: ForeignProcesses = {
  isRunning,
  isOwnProcess,
  hasArguments,
  holdsLock,
  findLockHolder,
  findListeningPort,
  terminate,
  killGroup,
};

interface OrphanLookup {
  readonly clock?: Clock | undefined;
  readonly processes?: ForeignProcesses | undefined;
  readonly flock?: Flock | undefined;
}

/** A server to adopt: it outlived its supervisor, and runs exactly the launch that is to be started. */
export interface Orphan {
  readonly identity: ProcessIdentity;
  readonly endpoint: Endpoint | undefined;
}

/** A server that outlived its supervisor, with everything known about it. */
export interface AbandonedServer {
  readonly identity: ProcessIdentity;
  /** The server's time to stop; undefined when an older version has started it. */
  readonly stopTimeoutMs: number | undefined;
  /** Hash of its launch; undefined when an older version has started it and its state file is lost. */
  readonly hash: string | undefined;
  /** Whether lock and state file name two different running processes, so that neither can be trusted. */
  readonly isDisputed: boolean;
  /** The last status of its supervisor with the present pid and port; undefined when the state file is lost. */
  readonly status: Status | undefined;
}

/**
 * Finds a server of this profile that outlived its supervisor; undefined when there is none. The caller knows that no
 * supervisor runs. The server's lock and the state file both identify it, as one of them may be lost.
 */
export async function findOrphan(
  { state }: SupervisorFolders,
  name: string,
  { processes = systemForeignProcesses, flock }: OrphanLookup = {},
): Promise<AbandonedServer | undefined> {
  const lookup = { processes, flock, lockPath: serverLockPath(state, name) };
  const record = await readState(state, name);
  const locked = readLockedServer(state, name);
  const known = [locked?.identity, record?.server].filter((one) => one != null);
  const found = known.length === 0 ? [findUnknownServer(lookup)] : known;
  const server = found.find((one) => one !== undefined && isServer(one, lookup));
  if (server === undefined) return undefined;
  const url = record?.status.url ?? undefined;
  const port = processes.findListeningPort(server.pid);
  const status = record && {
    ...record.status,
    pid: server.pid,
    url: url === undefined || port === undefined ? (url ?? null) : withPort(url, port),
  };
  return {
    identity: server,
    stopTimeoutMs: record?.stopTimeoutMs ?? locked?.stopTimeoutMs,
    hash: locked?.hash ?? record?.status.hash,
    isDisputed: known.some((one) => one.pid !== server.pid && processes.isRunning(one)),
    status,
  };
}

interface ServerLookup {
  readonly processes: ForeignProcesses;
  readonly flock: Flock | undefined;
  readonly lockPath: string;
}

/**
 * Whether a process named by a file is a server of this profile: it runs, is ours, and holds the server's lock. A file
 * alone could name any process, and the caller may kill it.
 */
function isServer(identity: ProcessIdentity, { processes, flock, lockPath }: ServerLookup): boolean {
  // Pid 1 is init, of the machine or of a container; kill(-1) would signal every process.
  if (identity.pid === 1 || !processes.isRunning(identity) || !processes.isOwnProcess(identity.pid)) return false;
  return processes.holdsLock(identity.pid, lockPath) ?? isLocked(lockPath, flock);
}

function readLockedServer(stateDir: string, name: string): LockedServer | undefined {
  const lockRecord = readLockRecord(serverLockPath(stateDir, name));
  return lockRecord === undefined || lockRecord === "released" ? undefined : lockRecord.server;
}

/** Finds a server that neither file names: it holds the server's lock. */
function findUnknownServer({ processes, flock, lockPath }: ServerLookup): ProcessIdentity | undefined {
  const isHeld = readLockRecord(lockPath) !== "released" && isLocked(lockPath, flock);
  return isHeld ? processes.findLockHolder(lockPath) : undefined;
}

/** Replaces the port: the state file may be of an earlier run, the system knows the present port. */
function withPort(url: string, port: number): string {
  return url.replace(/^(\w+:\/\/.*):\d+$/, `$1:${port}`);
}

/**
 * Ends a server that outlived its supervisor, so that the launch can be started; with `orphan: keep`, returns it for
 * adoption if it runs exactly this launch. Only for the supervisor of the profile.
 * @throws LlmctlError `orphan-differs`, `orphan-stuck` when it cannot be ended.
 */
export async function findAdoptable(
  folders: SupervisorFolders,
  launch: Launch,
  lookup: OrphanLookup = {},
): Promise<Orphan | undefined> {
  const { processes = systemForeignProcesses } = lookup;
  const orphan = await findOrphan(folders, launch.name, lookup);
  if (orphan === undefined) return undefined;
  const { identity, hash, isDisputed, status } = orphan;
  if (launch.orphan === "kill") {
    await endOrphan(orphan, launch.name, lookup);
    return undefined;
  }
  // The hash covers the planned arguments; the arguments in /proc prove that the process is still that program.
  if (hash === launch.hash && !isDisputed && processes.hasArguments(identity.pid, launch.args))
    return { identity, endpoint: findEndpoint(launch, { identity, status, processes }) };
  throw new LlmctlError(
    "orphan-differs",
    `a server of "${launch.name}" still runs, without a supervisor and with another configuration`,
    {
      exit: "busy",
      at: `pid ${identity.pid}${status === undefined ? "" : `, ${status.profile}`}`,
      fix: { before: "stop it first:", run: ["down", launch.name] },
    },
  );
}

/** The orphan's endpoint by its status; without a status, by its listening port. */
function findEndpoint(
  { host, socketPath }: Launch,
  {
    identity,
    status,
    processes,
  }: Pick<AbandonedServer, "identity" | "status"> & { readonly processes: ForeignProcesses },
): Endpoint | undefined {
  if (status?.url != null) return parseUrl(status.url);
  if (socketPath !== undefined) return { socketPath };
  const port = processes.findListeningPort(identity.pid);
  return port === undefined ? undefined : { host, port };
}

/**
 * Ends a server that outlived its supervisor: SIGTERM, then SIGKILL to its group after its stop timeout, or SIGKILL at
 * once with `now`. Returns when the server is gone.
 * @throws LlmctlError `orphan-stuck`.
 */
export async function endOrphan(
  { identity, stopTimeoutMs = 5000 }: Pick<AbandonedServer, "identity" | "stopTimeoutMs">,
  name: string,
  {
    now = false,
    clock = systemClock,
    processes = systemForeignProcesses,
  }: OrphanLookup & { readonly now?: boolean } = {},
): Promise<void> {
  const isGoneWithin = async (limitMs: number): Promise<boolean> => {
    for (const untilMs = clock.nowMs() + limitMs; clock.nowMs() < untilMs; await clock.sleep(lookEveryMs)) {
      if (!processes.isRunning(identity)) return true;
    }
    return !processes.isRunning(identity);
  };
  if (!now) processes.terminate(identity.pid);
  if (!now && (await isGoneWithin(stopTimeoutMs))) return;
  processes.killGroup(identity.pid);
  if (await isGoneWithin(killWaitMs)) return;
  throw new LlmctlError(
    "orphan-stuck",
    `an old server of "${name}" (pid ${identity.pid}) is still there after SIGKILL`,
    {
      exit: "busy",
      fix: "it waits for a driver or a disk; only a reboot ends such a process",
    },
  );
}
