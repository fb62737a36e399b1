import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import { LlmctlError } from "../base/errors.ts";
import { isSocketUrl, parseUrl } from "./endpoint.ts";
import type { Endpoint, Launch } from "./launch.ts";
import { findListeningPort } from "./listening-sockets.ts";
import { findLockedServer, findLockHolder, takeLock, type Lock } from "./lock.ts";
import { hasArguments, isRunning, type ProcessIdentity } from "./process-identity.ts";
import { killGroup, terminate } from "./server-process.ts";
import { readState, type StateRecord } from "./state-file.ts";

/** The lock of a profile's supervisor. */
function lockPath(runtimeDir: string, name: string): string {
  return join(runtimeDir, `${name}.lock`);
}

/** The lock of a profile's server, which holds it for as long as it lives. In a folder of its own: a profile may be called `a.server`. */
function serverLockPath(runtimeDir: string, name: string): string {
  return join(runtimeDir, "servers", `${name}.lock`);
}

interface Folders {
  readonly runtime: string;
  readonly state: string;
}

/** A signal's work is seen by looking: another process's child cannot be awaited. */
const lookEveryMs = 20;
/** As long as llama-server may take to give back its memory when it is killed. */
const killWaitMs = 30_000;
/** A server that the kernel has just killed still has its memory to give back. */
const lockWaitMs = 5000;

/**
 * Makes this process the one supervisor of a profile.
 * @returns undefined when a supervisor runs, or starts just now.
 * @throws LlmctlError `lock-held` when nobody knows who holds the lock.
 */
export async function takeOwnership(folders: Folders, name: string): Promise<Lock | undefined> {
  const path = lockPath(folders.runtime, name);
  const lock = takeLock(path);
  return lock !== undefined || findLockHolder(path) !== undefined ? lock : takeLockSoon(path);
}

/** A server that outlived its supervisor, and where it answers as far as that is known. */
export interface Orphan {
  readonly identity: ProcessIdentity;
  readonly endpoint: Endpoint | undefined;
}

/**
 * Makes room for the server of a launch; for the supervisor of the profile only. A server that outlived its supervisor is ended, or, where the
 * launch says so and it runs exactly this launch, left to be adopted.
 * @throws LlmctlError `orphan-differs`, `orphan-stuck` when it cannot be ended.
 */
export async function findAdoptable(folders: Folders, launch: Launch): Promise<Orphan | undefined> {
  const record = await findOrphanRecord(folders, launch.name);
  if (record === undefined) return undefined;
  const { server: identity, status } = record;
  if (launch.orphan === "kill") {
    await endOrphan({ identity, stopTimeoutMs: record.stopTimeoutMs }, launch.name);
    return undefined;
  }
  // The hash covers the arguments as they were planned; the process's own words say that this is still the program that was started then.
  if (status.hash === launch.hash && hasArguments(identity.pid, launch.args))
    return { identity, endpoint: status.url === null ? undefined : parseUrl(status.url) };
  throw new LlmctlError("orphan-differs", `a server of "${launch.name}" still runs, without a supervisor and with another configuration`, {
    exit: "busy",
    at: `pid ${identity.pid}, ${status.profile}`,
    fix: `stop it first: llmctl down ${launch.name}`,
  });
}

/** The lock that the coming server inherits. @throws LlmctlError `lock-held` when a server still has it after some seconds. */
export async function takeServerLock(runtimeDir: string, name: string): Promise<Lock> {
  const path = serverLockPath(runtimeDir, name);
  const lock = takeLock(path) ?? (await takeLockSoon(path));
  if (lock === undefined) throw new Error(`two supervisors of "${name}": ${path} has another holder`);
  return lock;
}

/** A server that is to be ended in place of its supervisor. */
export interface Abandoned {
  readonly identity: ProcessIdentity;
  /** How long it may take to end its clients' requests; undefined when an older version has left it. */
  readonly stopTimeoutMs: number | undefined;
}

type OrphanRecord = StateRecord & { readonly server: ProcessIdentity };

/** A server of this profile whose supervisor is gone; undefined when there is none. */
export async function findOrphan(folders: Folders, name: string): Promise<Abandoned | undefined> {
  const record = await findOrphanRecord(folders, name);
  return record === undefined ? undefined : { identity: record.server, stopTimeoutMs: record.stopTimeoutMs };
}

/**
 * The state of a profile whose server has outlived its supervisor; undefined when there is no such server. Where the state could not be
 * written any more, the server's lock tells who it is.
 */
export async function findOrphanRecord(folders: Folders, name: string): Promise<OrphanRecord | undefined> {
  const record = await readState(folders.state, name);
  if (record === undefined || isRunning(record.supervisor)) return undefined;
  if (record.server !== null && isRunning(record.server)) return { ...record, server: record.server };
  const server = findLockedServer(serverLockPath(folders.runtime, name));
  if (server === undefined) return undefined;
  const port = findListeningPort(server.pid);
  const url = record.status.url === null ? null : withPort(record.status.url, port);
  return { ...record, server, status: { ...record.status, pid: server.pid, url } };
}

function withPort(url: string, port: number | undefined): string | null {
  if (isSocketUrl(url)) return url;
  if (port === undefined) return null;
  const changed = new URL(url);
  changed.port = String(port);
  return changed.origin;
}

/**
 * Ends a server whose supervisor is gone: SIGTERM, after which it waits for its clients, and SIGKILL to its group when its time is over, or
 * at once when it is not to wait. Returns when it is gone.
 * @throws LlmctlError `orphan-stuck`.
 */
export async function endOrphan({ identity, stopTimeoutMs = 5000 }: Abandoned, name: string, { now = false } = {}): Promise<void> {
  if (!now) terminate(identity.pid);
  if (!now && (await isGoneWithin(identity, stopTimeoutMs))) return;
  killGroup(identity.pid);
  if (await isGoneWithin(identity, killWaitMs)) return;
  throw new LlmctlError("orphan-stuck", `an old server of "${name}" (pid ${identity.pid}) is still there after SIGKILL`, {
    exit: "busy",
    fix: "a process that cannot be killed waits for a driver or a disk; a reboot ends it",
  });
}

async function isGoneWithin(identity: ProcessIdentity, limitMs: number): Promise<boolean> {
  for (const untilMs = performance.now() + limitMs; performance.now() < untilMs; await sleep(lookEveryMs)) {
    if (!isRunning(identity)) return true;
  }
  return !isRunning(identity);
}

/** A lock without a known holder is on its way: its new holder is writing its name, or its last one, a server, is just dying. */
async function takeLockSoon(path: string): Promise<Lock | undefined> {
  for (const untilMs = performance.now() + lockWaitMs; performance.now() < untilMs; await sleep(lookEveryMs)) {
    const lock = takeLock(path);
    if (lock !== undefined || findLockHolder(path) !== undefined) return lock;
  }
  throw new LlmctlError("lock-held", "another process holds the profile's lock, and it is not known which", {
    exit: "busy",
    at: path,
    fix: `find it with "fuser ${path}" and stop it`,
  });
}
