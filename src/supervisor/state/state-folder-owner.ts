import { lstatSync, type Stats } from "node:fs";
import { join } from "node:path";
import { systemErrorCode } from "../../base/errors.ts";
import { expectOwnFolder, isOwn } from "../../base/files/own-folder.ts";

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

function lstatOrNone(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined; // not ours to look into
  }
}
