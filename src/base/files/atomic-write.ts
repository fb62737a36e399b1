import { randomBytes } from "node:crypto";
import type { Stats } from "node:fs";
import { type FileHandle, lstat, readdir, realpath, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type FileOperations, nodeFiles } from "./file-operations.ts";
import { makeFolder } from "./own-folder.ts";
import { expectSafeForRoot } from "./trusted-path.ts";

interface WriteOptions {
  readonly mode?: number;
  readonly files?: FileOperations;
}

/**
 * Writes a file atomically: a reader, and a crash at any byte, sees the old content or the new. The data goes to a
 * temporary file in the same folder, which is synced and renamed; then the folder is synced. Missing folders are
 * created with mode 0700.
 * @throws LlmctlError `foreign-folder` when root would write below another user's folder; the system's error (ENOSPC,
 * EACCES …). The old file is then unchanged, and no temporary file remains.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  { mode = 0o600, files = nodeFiles }: WriteOptions = {},
): Promise<void> {
  prepareFolder(dirname(path));
  await writeBeside(path, data, { mode, files, place: files.rename });
}

/**
 * As {@link writeFileAtomic}, for a file that must not exist yet.
 * @throws the system's error: EEXIST when the file exists.
 */
export async function createFileAtomic(
  path: string,
  data: string | Uint8Array,
  { mode = 0o600, files = nodeFiles }: WriteOptions = {},
): Promise<void> {
  prepareFolder(dirname(path));
  // Unlike rename, link fails when the path exists.
  const place = async (temporary: string) => {
    await files.link(temporary, path);
    await files.rm(temporary);
  };
  await writeBeside(path, data, { mode, files, place });
}

/**
 * As {@link writeFileAtomic}, for a file that exists: it keeps its mode and owner, and a symbolic link to it stays a
 * link.
 */
export async function replaceFileAtomic(
  path: string,
  data: string | Uint8Array,
  { files = nodeFiles }: Pick<WriteOptions, "files"> = {},
): Promise<void> {
  expectSafeForRoot(dirname(path));
  // The link itself may belong to another user.
  if ((await lstat(path)).isSymbolicLink()) expectSafeForRoot(path);
  const target = await realpath(path);
  expectSafeForRoot(dirname(target));
  await writeBeside(target, data, { mode: 0o600, like: await stat(target), files, place: files.rename });
}

function prepareFolder(folder: string): void {
  expectSafeForRoot(folder);
  makeFolder(folder);
}

/**
 * Removes the temporary files of writers that were killed. Only the one process that may write this file now calls it.
 */
export async function removeUnfinished(path: string): Promise<void> {
  const folder = dirname(path);
  const unfinished = (await readdir(folder)).filter(
    (name) => name.startsWith(`${basename(path)}.`) && name.endsWith(".tmp"),
  );
  await Promise.all(unfinished.map((name) => rm(join(folder, name), { force: true })));
}

interface Beside extends Required<WriteOptions> {
  readonly like?: Pick<Stats, "mode" | "uid" | "gid">;
  readonly place: (temporary: string, path: string) => Promise<void>;
}

async function writeBeside(path: string, data: string | Uint8Array, beside: Beside): Promise<void> {
  const { mode, like, files, place } = beside;
  const temporary = `${path}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
  try {
    const file = await files.open(temporary, "wx", mode);
    try {
      if (like !== undefined) await makeLike(file, like);
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await place(temporary, path);
  } catch (error) {
    await files.rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path), files);
}

async function makeLike(file: FileHandle, { mode, uid, gid }: Pick<Stats, "mode" | "uid" | "gid">): Promise<void> {
  const own = await file.stat();
  if (own.uid !== uid || own.gid !== gid) await file.chown(uid, gid);
  // The mode given to `open` is cut by the umask.
  await file.chmod(mode & 0o7777);
}

/** Makes a rename in this folder survive a power failure. */
export async function syncFolder(folder: string, { open }: Pick<FileOperations, "open"> = nodeFiles): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
