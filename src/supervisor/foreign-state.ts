import { lstatSync, type Stats } from "node:fs";
import { join } from "node:path";
import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import { expectOwnFolder, isOwn } from "../base/own-folder.ts";
import { fetchForeignStatus } from "../control/client.ts";
import type { Status } from "../control/messages.ts";
import { controlSocketPaths } from "../control/socket-path.ts";
import { type Folders, supervisorLockPath } from "./find-supervisor.ts";
import { isHolderRunning, readNote } from "./lock-note.ts";
import { readOwner } from "./process-identity.ts";
import { readState } from "./state-file.ts";

/** What another user's profile says of itself: nothing of it is more than words, and nothing follows from it. */
export interface ForeignState {
  /** `live`: its supervisor has answered. `unresponsive`: a process of that user's has the lock, as the lock says. */
  readonly presence: "live" | "unresponsive" | "gone";
  readonly status: Status;
}

/** Whose a folder of states is; undefined where it is ours, or there is none, or something else is there. */
export function findForeignOwner(stateDir: string): number | undefined {
  const info = lstatOrNone(stateDir);
  return info === undefined || !info.isDirectory() || isOwn(info) ? undefined : info.uid;
}

/**
 * Whether a profile of another user's has a state. Its owner could have put a link there, or another user's folder.
 * @throws LlmctlError `foreign-folder` where what is there is not that user's.
 */
export function hasForeignState(stateDir: string, name: string, owner: number): boolean {
  const info = lstatOrNone(join(stateDir, name));
  if (info?.isDirectory() === true && info.uid === owner) return true;
  if (info !== undefined) expectOwnFolder(join(stateDir, name), info);
  return false;
}

/**
 * Reads the state of another user's profile: asks its supervisor, else takes what is left in its file. Only for whoever may look into that
 * user's folders, as root may. Files are read where they are that user's and no links; nothing is written, locked or signalled.
 * @returns undefined where it has never run.
 * @throws LlmctlError `foreign-file`, `foreign-folder`.
 */
export async function readForeignState(folders: Folders, name: string, owner: number): Promise<ForeignState | undefined> {
  if (!hasForeignState(folders.state, name, owner)) return undefined;
  const lockPath = supervisorLockPath(folders.state, name);
  const note = readNote(lockPath, owner);
  const record = await readState(folders.state, name, owner);
  const noted = note === undefined || note === "released" ? undefined : note.socket;
  const known = [noted, record?.socket].filter((path) => path !== undefined);
  for (const path of new Set([...known, ...controlSocketPaths(folders, name)])) {
    const status = await ask(path, owner);
    if (status?.name === name) return { presence: "live", status };
  }
  if (record === undefined) return undefined;
  const { status } = record;
  const holder = note === undefined || note === "released" ? undefined : note.holder.pid;
  const isHeld = holder !== undefined && isHolderRunning(note) === true && readOwner(holder) === owner;
  return { presence: isHeld ? "unresponsive" : "gone", status };
}

async function ask(socketPath: string, owner: number): Promise<Status | undefined> {
  try {
    return await fetchForeignStatus(socketPath, owner);
  } catch (error) {
    if (error instanceof LlmctlError || systemErrorCode(error) !== undefined) return undefined; // no answer, in time or at all
    throw error;
  }
}

function lstatOrNone(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined; // not ours to look into
  }
}
