import { systemClock } from "../../base/clock.ts";
import { LlmctlError } from "../../base/errors.ts";
import { ensureOwnFolder } from "../../base/files/own-folder.ts";
import {
  type Lookup,
  type SupervisorFolders,
  findSupervisorWithoutLock,
  findSupervisor,
  serverLockPath,
  supervisorLockPath,
} from "./find-supervisor.ts";
import { runFlock, takeLock, stateUnwritable, type Lock } from "./file-lock.ts";
import { isHolderRunning, makeLockRecord, readLockRecord, thisProcess } from "./lock-record.ts";

const lookEveryMs = 20;
/** A server that has just been killed holds its lock until its memory is freed. */
const lockWaitMs = 5000;

/**
 * Makes this process the one supervisor of a profile.
 * @returns undefined when another supervisor runs or is starting.
 * @throws LlmctlError `lock-held` when the holder of the lock is unknown, `foreign-folder` …
 */
export async function takeSupervisorLock(
  folders: SupervisorFolders,
  name: string,
  lookup: Lookup = {},
): Promise<Lock | undefined> {
  const path = supervisorLockPath(folders.state, name);
  makeStateFolder(folders.state, path);
  if ((await findSupervisorWithoutLock(folders, name)) !== undefined) return undefined;
  const lock = await takeLockSoon(path, name, lookup);
  if (lock === undefined) return undefined;
  // A running supervisor may have lost its lock file, and one of an older version has its lock elsewhere.
  try {
    if (!(await isOtherThere(folders, name, lookup))) return lock;
  } catch (error) {
    lock.release();
    throw error;
  }
  lock.release();
  return undefined;
}

async function isOtherThere(folders: SupervisorFolders, name: string, lookup: Lookup): Promise<boolean> {
  // No wait: we hold the lock, so no other supervisor starts.
  const found = await findSupervisor(folders, name, { ...lookup, waitMs: 0 });
  return found?.answers === true || (await findSupervisorWithoutLock(folders, name)) !== undefined;
}

function makeStateFolder(stateDir: string, lockPath: string): void {
  try {
    ensureOwnFolder(stateDir);
  } catch (cause) {
    throw stateUnwritable(lockPath, cause);
  }
}

/**
 * Takes the lock that the next server inherits.
 * @throws LlmctlError `lock-held` when another server still holds it after some seconds.
 */
export async function takeServerLock(stateDir: string, name: string, lookup: Lookup = {}): Promise<Lock> {
  const path = serverLockPath(stateDir, name);
  const lock = await takeLockSoon(path, name, lookup);
  if (lock !== undefined) return lock;
  throw new LlmctlError("lock-held", `another server of "${name}" still runs, which this supervisor did not start`, {
    exit: "busy",
    at: path,
    fix: "it may run in a container or another pid namespace: stop it there",
  });
}

/**
 * Takes a lock, waiting while its holder is unknown: the new holder is just writing its record, or the last holder, a
 * server, is just dying.
 * @returns undefined when a known process holds the lock.
 */
async function takeLockSoon(
  path: string,
  name: string,
  { clock = systemClock, flock = runFlock }: Lookup,
): Promise<Lock | undefined> {
  for (const untilMs = clock.nowMs() + lockWaitMs; ; await clock.sleep(lookEveryMs)) {
    const lock = takeLock(path, makeLockRecord(name), flock);
    if (lock !== undefined) return lock;
    const lockRecord = readLockRecord(path);
    // A record with our own pid is about an adopted server that is just dying.
    const isOther = lockRecord !== undefined && lockRecord !== "released" && lockRecord.holder.pid !== thisProcess.pid;
    if (isOther && isHolderRunning(lockRecord) !== false) return undefined;
    if (clock.nowMs() > untilMs) throw lockHeld(path);
  }
}

function lockHeld(path: string): LlmctlError {
  return new LlmctlError("lock-held", "an unknown process holds the profile's lock", {
    exit: "busy",
    at: path,
    fix: `find it with "fuser ${path}" and stop it`,
  });
}
