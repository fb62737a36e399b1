import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import { LlmctlError } from "../base/errors.ts";
import { findLockHolder, takeLock, type Lock } from "./lock.ts";
import { isRunning, type ProcessIdentity } from "./process-identity.ts";
import { killGroup, terminate } from "./server-process.ts";
import { readState } from "./state-file.ts";

/** The lock file of a profile. */
function lockPath(runtimeDir: string, name: string): string {
  return join(runtimeDir, `${name}.lock`);
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
 * Makes this process the one supervisor of a profile. A server that outlived its supervisor still holds the lock; it is stopped first.
 * @returns undefined when a supervisor runs, or starts just now.
 * @throws LlmctlError `orphan-stuck` when such a server cannot be ended, `lock-held` when nobody knows who holds the lock.
 */
export async function takeOwnership(folders: Folders, name: string): Promise<Lock | undefined> {
  const path = lockPath(folders.runtime, name);
  const lock = takeLock(path);
  if (lock !== undefined || findLockHolder(path) !== undefined) return lock;
  const orphan = await findOrphan(folders.state, name);
  if (orphan !== undefined) await endOrphan(orphan, name);
  return takeLockSoon(path);
}

/** A server of this profile whose supervisor is gone; undefined when there is none. */
export async function findOrphan(stateDir: string, name: string): Promise<ProcessIdentity | undefined> {
  const record = await readState(stateDir, name);
  if (record?.server == null || !isRunning(record.server) || isRunning(record.supervisor)) return undefined;
  return record.server;
}

/**
 * Ends a server whose supervisor is gone: SIGTERM, then SIGKILL to its group. Returns when it is gone.
 * @throws LlmctlError `orphan-stuck`.
 */
export async function endOrphan(orphan: ProcessIdentity, name: string, graceMs = 5000): Promise<void> {
  terminate(orphan.pid);
  if (await isGoneWithin(orphan, graceMs)) return;
  killGroup(orphan.pid);
  if (await isGoneWithin(orphan, killWaitMs)) return;
  throw new LlmctlError("orphan-stuck", `an old server of "${name}" (pid ${orphan.pid}) is still there after SIGKILL`, {
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
