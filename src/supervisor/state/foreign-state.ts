import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { fetchForeignStatus } from "../../control/client.ts";
import type { Status } from "../../control/messages.ts";
import { controlSocketPaths } from "../../control/socket-path.ts";
import { type SupervisorFolders, supervisorLockPath } from "./find-supervisor.ts";
import { hasForeignState } from "./state-folder-owner.ts";
import { isHolderRunning, readLockRecord } from "./lock-record.ts";
import { readOwner } from "./process-identity.ts";
import { readState } from "./state-file.ts";

/** The state of another user's profile, for display only: no decision is based on it. */
export interface ForeignState {
  /** `live`: its supervisor has answered. `unresponsive`: by its record, a process of that user holds the lock. */
  readonly presence: "live" | "unresponsive" | "gone";
  readonly status: Status;
}

/**
 * Reads the state of another user's profile from its supervisor, otherwise from its state file. Only for a caller that
 * may read that user's folders, such as root. Reads only files that belong to that user and are no links; writes, locks
 * and signals nothing.
 * @returns undefined when the profile has never run.
 * @throws LlmctlError `foreign-file`, `foreign-folder`.
 */
export async function readForeignState(
  folders: SupervisorFolders,
  name: string,
  owner: number,
): Promise<ForeignState | undefined> {
  if (!hasForeignState(folders.state, name, owner)) return undefined;
  const lockPath = supervisorLockPath(folders.state, name);
  const lockRecord = readLockRecord(lockPath, owner);
  const record = await readState(folders.state, name, owner);
  const noted = lockRecord === undefined || lockRecord === "released" ? undefined : lockRecord.socket;
  const known = [noted, record?.socket].filter((path) => path !== undefined);
  for (const path of new Set([...known, ...controlSocketPaths(folders, name)])) {
    const status = await ask(path, owner);
    if (status?.name === name) return { presence: "live", status };
  }
  if (record === undefined) return undefined;
  const { status } = record;
  const holder = lockRecord === undefined || lockRecord === "released" ? undefined : lockRecord.holder.pid;
  const isHeld = holder !== undefined && isHolderRunning(lockRecord) === true && readOwner(holder) === owner;
  return { presence: isHeld ? "unresponsive" : "gone", status };
}

async function ask(socketPath: string, owner: number): Promise<Status | undefined> {
  try {
    return await fetchForeignStatus(socketPath, owner);
  } catch (error) {
    // no answer, in time or at all
    if (error instanceof LlmctlError || systemErrorCode(error) !== undefined) return undefined;
    throw error;
  }
}
