import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { fetchForeignStatus } from "../../control/client.ts";
import type { Status } from "../../control/messages.ts";
import { controlSocketPaths } from "../../control/socket-path.ts";
import { type SupervisorFolders, supervisorLockPath } from "./find-supervisor.ts";
import { hasForeignState } from "./state-folder-owner.ts";
import { isHolderRunning, readLockRecord } from "./lock-record.ts";
import { readOwner } from "./process-identity.ts";
import { readState } from "./state-file.ts";

/** What another user's profile says of itself: nothing of it is more than words, and nothing follows from it. */
export interface ForeignState {
  /** `live`: its supervisor has answered. `unresponsive`: a process of that user's has the lock, as the lock says. */
  readonly presence: "live" | "unresponsive" | "gone";
  readonly status: Status;
}

/**
 * Reads the state of another user's profile: asks its supervisor, else takes what is left in its file. Only for whoever
 * may look into that user's folders, as root may. Files are read where they are that user's and no links; nothing is
 * written, locked or signalled.
 * @returns undefined where it has never run.
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
