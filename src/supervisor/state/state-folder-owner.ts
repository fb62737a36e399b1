import { lstatSync, type Stats } from "node:fs";
import { join } from "node:path";
import { systemErrorCode } from "../../base/errors.ts";
import { expectOwnFolder, isOwn } from "../../base/files/own-folder.ts";

/** The other user who owns the folder of all states; undefined when it is ours, missing or not a folder. */
export function findForeignOwner(stateDir: string): number | undefined {
  const info = lstatOrNone(stateDir);
  return info === undefined || !info.isDirectory() || isOwn(info) ? undefined : info.uid;
}

/**
 * Whether another user's profile has a state folder. That user could have put a link or a third user's folder there.
 * @throws LlmctlError `foreign-folder` when the folder does not belong to that user.
 */
export function hasForeignState(stateDir: string, name: string, owner: number): boolean {
  const info = lstatOrNone(join(stateDir, name));
  if (info?.isDirectory() === true && info.uid === owner) return true;
  if (info !== undefined) expectOwnFolder(join(stateDir, name), info);
  return false;
}

function lstatOrNone(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined; // unreadable for us
  }
}
