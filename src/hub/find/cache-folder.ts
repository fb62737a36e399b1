import { mkdir, type FileHandle } from "node:fs/promises";
import { systemErrorCode } from "../../base/errors.ts";
import { nodeFiles, type FileOperations } from "../../base/files/file-operations.ts";
import { expectPlainFile, noFollowFlags, notAFile } from "../../base/files/own-file.ts";
import { expectSafeForRoot } from "../../base/files/trusted-path.ts";

/**
 * Makes a folder for models, locks or names. Only the umask limits who can read it, as with the Python client: several
 * users may share a cache.
 * @throws LlmctlError `foreign-folder` when root would write below a folder of another user; the system's error.
 */
export async function makeCacheFolder(path: string): Promise<void> {
  expectSafeForRoot(path);
  await mkdir(path, { recursive: true });
}

/**
 * Opens a file of a cache for writing. It refuses symbolic links, pipes, and files with several hard links.
 * @throws LlmctlError `not-a-file`, `linked-file`; the system's error.
 */
export async function openCacheFile(
  path: string,
  flags: number,
  files: Pick<FileOperations, "open"> = nodeFiles,
): Promise<FileHandle> {
  const file = await openPlainly(path, flags, files);
  try {
    expectPlainFile(path, await file.stat());
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function openPlainly(path: string, flags: number, { open }: Pick<FileOperations, "open">): Promise<FileHandle> {
  try {
    return await open(path, flags | noFollowFlags, 0o666);
  } catch (error) {
    throw ["ELOOP", "ENXIO"].includes(systemErrorCode(error) ?? "") ? notAFile(path) : error;
  }
}
