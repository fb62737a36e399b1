import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { LlmctlError, systemErrorCode } from "../errors.ts";

/**
 * Bounds the walk: links to parent folders make more paths than a disk has files. Model repositories have some hundred
 * files.
 */
export const treeLimits = { entries: 200_000, depth: 16 } as const;

/**
 * The files below a folder, relative to it. Links to folders are followed, and each folder is entered once. (Node's
 * recursive `readdir` does not end where two links form a cycle.)
 * @throws LlmctlError `folder-too-large`; the system's error when the folder itself cannot be read.
 */
export async function listTree(
  folder: string,
  limits: { readonly entries: number; readonly depth: number } = treeLimits,
): Promise<string[]> {
  const files: string[] = [];
  const entered = new Set<string>();
  let left = limits.entries;
  const enter = async (path: string, depth: number): Promise<void> => {
    const { dev, ino } = await stat(join(folder, path));
    if (entered.has(`${dev}:${ino}`)) return;
    entered.add(`${dev}:${ino}`);
    const entries = await readdir(join(folder, path), { withFileTypes: true });
    left -= entries.length;
    if (left < 0 || depth > limits.depth) throw tooLarge(folder, limits);
    for (const entry of entries) {
      const inner = join(path, entry.name);
      if (await isFolder(join(folder, inner), entry)) await orNothing(enter(inner, depth + 1));
      else files.push(inner);
    }
  };
  await enter("", 0);
  return files;
}

/** A dangling link counts as a file; opening it gives the error. */
async function isFolder(path: string, entry: Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  return (await orNothing(stat(path)))?.isDirectory() ?? false;
}

/** A folder that has vanished, or that this user may not read, counts as empty. */
async function orNothing<T>(action: Promise<T>): Promise<T | undefined> {
  try {
    return await action;
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}

function tooLarge(
  folder: string,
  { entries, depth }: { readonly entries: number; readonly depth: number },
): LlmctlError {
  return new LlmctlError(
    "folder-too-large",
    `"${folder}" has more than ${entries} files and folders, or is more than ${depth} deep`,
    {
      exit: "config",
      at: folder,
      fix: "name a folder that holds only models",
    },
  );
}
