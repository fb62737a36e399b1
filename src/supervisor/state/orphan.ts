import { setTimeout as sleep } from "node:timers/promises";
import { LlmctlError } from "../../base/errors.ts";
import type { Status } from "../../control/messages.ts";
import { parseUrl } from "../child/endpoint.ts";
import { type SupervisorFolders, serverLockPath } from "./find-supervisor.ts";
import type { Endpoint, Launch } from "../launch.ts";
import { findListeningPort } from "../port/listening-sockets.ts";
import { isLocked } from "./file-lock.ts";
import { findLockHolder, holdsLock } from "./proc-locks.ts";
import { readLockRecord, type LockedServer } from "./lock-record.ts";
import { hasArguments, isOwnProcess, isRunning, type ProcessIdentity } from "./process-identity.ts";
import { killGroup, terminate } from "../child/server-process.ts";
import { readState } from "./state-file.ts";

/** A signal's work is seen by looking: another process's child cannot be awaited. */
const lookEveryMs = 20;
/** As long as llama-server may take to give back its memory when it is killed. */
const killWaitMs = 30_000;

/** A server that outlived its supervisor, and where it answers as far as that is known. */
export interface Orphan {
  readonly identity: ProcessIdentity;
  readonly endpoint: Endpoint | undefined;
}

/** A server whose supervisor is gone, and what is known of it. */
export interface AbandonedServer {
  readonly identity: ProcessIdentity;
  /** How long it may take to end its clients' requests; undefined when an older version has left it. */
  readonly stopTimeoutMs: number | undefined;
  /** Identifies the configuration that it runs; undefined when an older version has left it, and its state is lost. */
  readonly hash: string | undefined;
  /** Whether a file names another process that runs: then it is not known which of them to believe. */
  readonly isDisputed: boolean;
  /** The last status of its supervisor, as it is now; undefined where that is lost. */
  readonly status: Status | undefined;
}

/**
 * A server of this profile whose supervisor is gone; undefined when there is none. For whoever knows that no supervisor
 * runs. The server's lock, which it has inherited, and the state file each tell who it is: one of them may be lost.
 */
export async function findOrphan({ state }: SupervisorFolders, name: string): Promise<AbandonedServer | undefined> {
  const record = await readState(state, name);
  const locked = readLockedServer(state, name);
  const known = [locked?.identity, record?.server].filter((one) => one != null);
  const found = known.length === 0 ? [findUnknownServer(state, name)] : known;
  const server = found.find((one) => one !== undefined && isServer(one, serverLockPath(state, name)));
  if (server === undefined) return undefined;
  const url = record?.status.url ?? undefined;
  const port = findListeningPort(server.pid);
  const status = record && {
    ...record.status,
    pid: server.pid,
    url: url === undefined || port === undefined ? (url ?? null) : withPort(url, port),
  };
  return {
    identity: server,
    stopTimeoutMs: record?.stopTimeoutMs ?? locked?.stopTimeoutMs,
    hash: locked?.hash ?? record?.status.hash,
    isDisputed: known.some((one) => one.pid !== server.pid && isRunning(one)),
    status,
  };
}

/**
 * Whether what a file names is a server of this profile: it runs, is ours, and has the server's lock. A file alone
 * could name any process, and whoever is found here may be ended.
 */
function isServer(identity: ProcessIdentity, lockPath: string): boolean {
  // 1 is the first process of the machine or of a container, and as a group, everybody.
  if (identity.pid === 1 || !isRunning(identity) || !isOwnProcess(identity.pid)) return false;
  return holdsLock(identity.pid, lockPath) ?? isLocked(lockPath);
}

function readLockedServer(stateDir: string, name: string): LockedServer | undefined {
  const lockRecord = readLockRecord(serverLockPath(stateDir, name));
  return lockRecord === undefined || lockRecord === "released" ? undefined : lockRecord.server;
}

/** A server of which neither file tells: it has its lock open. */
function findUnknownServer(stateDir: string, name: string): ProcessIdentity | undefined {
  const path = serverLockPath(stateDir, name);
  return readLockRecord(path) !== "released" && isLocked(path) ? findLockHolder(path) : undefined;
}

/** The system knows its present port, should the state be of an earlier run. */
function withPort(url: string, port: number): string {
  return url.replace(/^(\w+:\/\/.*):\d+$/, `$1:${port}`);
}

/**
 * Makes room for the server of a launch; for the supervisor of the profile only. A server that outlived its supervisor
 * is ended, or, where the launch says so and it runs exactly this launch, left to be adopted.
 * @throws LlmctlError `orphan-differs`, `orphan-stuck` when it cannot be ended.
 */
export async function findAdoptable(folders: SupervisorFolders, launch: Launch): Promise<Orphan | undefined> {
  const orphan = await findOrphan(folders, launch.name);
  if (orphan === undefined) return undefined;
  const { identity, hash, isDisputed, status } = orphan;
  if (launch.orphan === "kill") {
    await endOrphan(orphan, launch.name);
    return undefined;
  }
  // The hash covers the arguments as they were planned; the process's own words say that this is still the program that
  // was started then.
  if (hash === launch.hash && !isDisputed && hasArguments(identity.pid, launch.args))
    return { identity, endpoint: findEndpoint(launch, identity, status) };
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

/** Where the state is lost, the system says on which port it listens. */
function findEndpoint(
  { host, socketPath }: Launch,
  { pid }: ProcessIdentity,
  status: Status | undefined,
): Endpoint | undefined {
  if (status?.url != null) return parseUrl(status.url);
  if (socketPath !== undefined) return { socketPath };
  const port = findListeningPort(pid);
  return port === undefined ? undefined : { host, port };
}

/**
 * Ends a server whose supervisor is gone: SIGTERM, after which it waits for its clients, and SIGKILL to its group when
 * its time is over, or at once when it is not to wait. Returns when it is gone.
 * @throws LlmctlError `orphan-stuck`.
 */
export async function endOrphan(
  { identity, stopTimeoutMs = 5000 }: Pick<AbandonedServer, "identity" | "stopTimeoutMs">,
  name: string,
  { now = false } = {},
): Promise<void> {
  if (!now) terminate(identity.pid);
  if (!now && (await isGoneWithin(identity, stopTimeoutMs))) return;
  killGroup(identity.pid);
  if (await isGoneWithin(identity, killWaitMs)) return;
  throw new LlmctlError(
    "orphan-stuck",
    `an old server of "${name}" (pid ${identity.pid}) is still there after SIGKILL`,
    {
      exit: "busy",
      fix: "a process that cannot be killed waits for a driver or a disk; a reboot ends it",
    },
  );
}

async function isGoneWithin(identity: ProcessIdentity, limitMs: number): Promise<boolean> {
  for (const untilMs = performance.now() + limitMs; performance.now() < untilMs; await sleep(lookEveryMs)) {
    if (!isRunning(identity)) return true;
  }
  return !isRunning(identity);
}
