import { randomBytes } from "node:crypto";
import { rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import {
  type Lookup,
  type SupervisorFolders,
  findSupervisor,
  serverLockPath,
  supervisorLockPath,
} from "./find-supervisor.ts";
import { type Lock, takeLock, stateUnwritable } from "./file-lock.ts";
import { makeLockRecord } from "./lock-record.ts";
import { findOrphan } from "./orphan.ts";

/**
 * Removes the folder of a profile's state and logs, unless the profile runs. A start at the same time either holds the
 * lock already, or waits for ours and then recreates the folder.
 * @returns false when there is no such folder.
 * @throws LlmctlError `still-running`, `state-unwritable`, `foreign-folder`.
 */
export async function forgetProfile(folders: SupervisorFolders, name: string, lookup: Lookup = {}): Promise<boolean> {
  const folder = join(folders.state, name);
  const { flock } = lookup;
  if ((await findSupervisor(folders, name, lookup)) !== undefined) throw stillRunning(name);
  if ((await findOrphan(folders, name, { flock })) !== undefined) throw stillRunning(name);
  if (!(await exists(folder))) return false;
  const locks: Lock[] = [];
  try {
    for (const path of [supervisorLockPath(folders.state, name), serverLockPath(folders.state, name)]) {
      const lock = takeLock(path, makeLockRecord(name), flock);
      if (lock === undefined) throw stillRunning(name);
      locks.push(lock);
    }
    // Renamed first: a half removed folder must not count as a profile's state.
    const aside = join(folders.state, `.forgotten-${name}-${randomBytes(4).toString("hex")}`);
    await rename(folder, aside);
    await rm(aside, { recursive: true, force: true });
    return true;
  } catch (error) {
    throw systemErrorCode(error) === undefined ? error : stateUnwritable(folder, error);
  } finally {
    for (const lock of locks) lock.release();
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return false;
  }
}

function stillRunning(name: string): LlmctlError {
  return new LlmctlError("still-running", `"${name}" is running`, {
    exit: "busy",
    fix: { before: "stop it first:", run: ["down", name] },
  });
}
