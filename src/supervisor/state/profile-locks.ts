import { setTimeout as sleep } from "node:timers/promises";
import { LlmctlError } from "../../base/errors.ts";
import { ensureOwnFolder } from "../../base/files/own-folder.ts";
import {
  type SupervisorFolders,
  findSupervisorWithoutLock,
  findSupervisor,
  serverLockPath,
  supervisorLockPath,
} from "./find-supervisor.ts";
import { takeLock, stateUnwritable, type Lock } from "./file-lock.ts";
import { isHolderRunning, makeLockRecord, readLockRecord, thisProcess } from "./lock-record.ts";

const lookEveryMs = 20;
/** A server that the kernel has just killed still has its memory to give back. */
const lockWaitMs = 5000;

/**
 * Makes this process the one supervisor of a profile.
 * @returns undefined when a supervisor runs, or starts just now.
 * @throws LlmctlError `lock-held` when nobody knows who holds the lock, `foreign-folder` …
 */
export async function takeSupervisorLock(folders: SupervisorFolders, name: string): Promise<Lock | undefined> {
  const path = supervisorLockPath(folders.state, name);
  makeStateFolder(folders.state, path);
  if ((await findSupervisorWithoutLock(folders, name)) !== undefined) return undefined;
  const lock = await takeLockSoon(path, name);
  if (lock === undefined) return undefined;
  // Its lock file may have been removed while it runs, and a supervisor of an older version has its lock elsewhere.
  if (!(await isOtherThere(folders, name, lock))) return lock;
  lock.release();
  return undefined;
}

async function isOtherThere(folders: SupervisorFolders, name: string, lock: Lock): Promise<boolean> {
  try {
    const found = await findSupervisor(folders, name, 0); // we hold the lock: nobody's socket is about to come
    return found?.answers === true || (await findSupervisorWithoutLock(folders, name)) !== undefined;
  } catch (error) {
    lock.release();
    throw error;
  }
}

function makeStateFolder(stateDir: string, lockPath: string): void {
  try {
    ensureOwnFolder(stateDir);
  } catch (cause) {
    throw stateUnwritable(lockPath, cause);
  }
}

/**
 * The lock that the coming server inherits.
 * @throws LlmctlError `lock-held` when a server still has it after some seconds.
 */
export async function takeServerLock(stateDir: string, name: string): Promise<Lock> {
  const path = serverLockPath(stateDir, name);
  const lock = await takeLockSoon(path, name);
  if (lock !== undefined) return lock;
  throw new LlmctlError("lock-held", `a server of "${name}" still runs, and is not one of this supervisor`, {
    exit: "busy",
    at: path,
    fix: "it may be in a container, or in another pid namespace: stop it there",
  });
}

/**
 * A lock without a known holder is on its way: its new holder is writing its name, or its last one, a server, is just
 * dying.
 * @returns undefined when its holder is known.
 */
async function takeLockSoon(path: string, name: string): Promise<Lock | undefined> {
  for (const untilMs = performance.now() + lockWaitMs; ; await sleep(lookEveryMs)) {
    const lock = takeLock(path, makeLockRecord(name));
    if (lock !== undefined) return lock;
    const lockRecord = readLockRecord(path);
    // Ours is the word about a server that was adopted and is just dying.
    const isOther = lockRecord !== undefined && lockRecord !== "released" && lockRecord.holder.pid !== thisProcess.pid;
    if (isOther && isHolderRunning(lockRecord) !== false) return undefined;
    if (performance.now() > untilMs) throw lockHeld(path);
  }
}

function lockHeld(path: string): LlmctlError {
  return new LlmctlError("lock-held", "another process holds the profile's lock, and it is not known which", {
    exit: "busy",
    at: path,
    fix: `find it with "fuser ${path}" and stop it`,
  });
}
