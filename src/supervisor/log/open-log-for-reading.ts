import { constants, lstatSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { systemErrorCode } from "../../base/errors.ts";
import { foreignFile, noFollowFlags } from "../../base/files/own-file.ts";
import { isOwn } from "../../base/files/own-folder.ts";
import { isTrusted } from "../../base/files/trusted-path.ts";

/** No such file: nothing, a link, a socket, or a file in the place of the folder. */
const noLog: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "ELOOP", "ENXIO"]);

/**
 * Opens a log to read it. Root may read those of other users, who could have put anything in their place.
 * @returns undefined where there is no file.
 * @throws LlmctlError `foreign-file` where it is neither of the folder's owner nor, in a folder of ours, of root's; the
 *   system's error.
 */
export async function openLogForReading(path: string): Promise<FileHandle | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | noFollowFlags);
  } catch (error) {
    if (noLog.has(systemErrorCode(error) ?? "")) return undefined;
    throw error;
  }
  try {
    if (await isLog(path, file)) return file;
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return undefined;
}

async function isLog(path: string, file: FileHandle): Promise<boolean> {
  const info = await file.stat();
  const folder = lstatSync(dirname(path), { throwIfNoEntry: false });
  if (!info.isFile() || folder?.isDirectory() !== true) return false;
  if (info.uid !== folder.uid && !(isOwn(folder) && isTrusted(info))) throw foreignFile(path, info.uid, "log");
  return true;
}
