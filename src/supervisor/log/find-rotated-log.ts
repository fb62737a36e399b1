import type { Stats } from "node:fs";
import { lstat, type FileHandle } from "node:fs/promises";
import { systemErrorCode } from "../../base/errors.ts";
import { openLogForReading } from "./open-log-for-reading.ts";

/** A rotation that has not ended for so long was cut short: its supervisor is dead. */
const longestRotationMs = 5000;

export interface OpenFile {
  readonly file: FileHandle;
  readonly inode: number;
  readonly dev: number;
  /** See {@link birthOf}. */
  readonly birth: string;
}

/** Tells a file from a later one that was given its inode, where the disk keeps that time. */
function birthOf({ dev, ino, birthtimeMs }: Stats): string {
  return `${dev} ${ino} ${birthtimeMs}`;
}

/**
 * Tells a rotated file from others under each of its names; an inode alone may be given to another file when it is
 * removed.
 */
function identify(info: Stats | undefined): string | undefined {
  return info === undefined ? undefined : `${info.ino} ${info.mtimeMs}`;
}

/** The rotated file with the lowest number. @param own Files that are none, whatever they are called now. */
export async function findNewestRotated(
  path: string,
  own: ReadonlySet<string> = new Set(),
): Promise<string | undefined> {
  for (let n = 1; ; n += 1) {
    const info = await statOrNone(`${path}.${n}`);
    if (info === undefined || !own.has(birthOf(info))) return identify(info);
  }
}

/** Whether nothing has been rotated since this file was `.1`, and nothing is just now. */
export async function isStill(
  path: string,
  newestRotated: string | undefined,
  own?: ReadonlySet<string>,
): Promise<boolean> {
  // before it is named `.1`, so that a rotation is seen here or there
  const rotating = await statOrNone(`${path}.rotating`);
  if (rotating !== undefined && Date.now() - rotating.mtimeMs < longestRotationMs) return false;
  return (await findNewestRotated(path, own)) === newestRotated;
}

/** Whether somebody has deleted the rotated files. While files are being renamed, one of these is there. */
export async function areRotatedGone(path: string): Promise<boolean> {
  for (const suffix of ["1", "rotating", "1"]) if ((await statOrNone(`${path}.${suffix}`)) !== undefined) return false;
  return true;
}

/**
 * The oldest file that was rotated since this one was `.1`; undefined when there is none, or files are just being
 * renamed. The reader closes it.
 */
export async function openRotatedAfter(
  path: string,
  newestRotated: string | undefined,
  own: ReadonlySet<string>,
): Promise<{ file: FileHandle; identity: string } | undefined> {
  let newest: string | undefined;
  let oldest: { readonly name: string; readonly identity: string } | undefined;
  for (let n = 1; ; n += 1) {
    const name = `${path}.${n}`;
    const info = await statOrNone(name);
    const identity = identify(info);
    if (info === undefined || identity === undefined || identity === newestRotated) break;
    if (own.has(birthOf(info))) continue;
    newest ??= identity;
    oldest = { name, identity };
  }
  if (oldest === undefined || !(await isStill(path, newest, own))) return undefined;
  const file = await openLogForReading(oldest.name);
  if (file === undefined) return undefined;
  if (identify(await file.stat()) === oldest.identity) return { file, identity: oldest.identity };
  await file.close();
  return undefined;
}

/** @returns undefined when there is none, or something that is not a file is in its place. */
export async function findFile(path: string): Promise<Stats | undefined> {
  const info = await statOrNone(path);
  return info?.isFile() === true ? info : undefined;
}

/** @returns undefined when there is none. */
export async function openFile(path: string): Promise<OpenFile | undefined> {
  const file = (await findFile(path)) === undefined ? undefined : await openLogForReading(path);
  if (file === undefined) return undefined;
  const info = await file.stat();
  return { file, inode: info.ino, dev: info.dev, birth: birthOf(info) };
}

/** @returns undefined when there is no such file. */
export async function statOrNone(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT" || systemErrorCode(error) === "ENOTDIR") return undefined;
    throw error;
  }
}
