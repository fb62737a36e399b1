import { mkdir, readFile, rename, rm, rmdir, stat, truncate } from "node:fs/promises";
import type { World } from "./world.ts";

/** Damage that others do to the files of a profile. */
export const harms = [
  ["state.json", ["empty", "cut", "delete", "folder"]],
  ["server.log", ["empty", "delete", "move", "folder"]],
  ["supervisor.log", ["empty", "delete", "move", "folder"]],
  ["lock", ["empty", "delete"]],
  ["server.lock", ["empty", "delete"]],
] as const;

type HarmedFile = (typeof harms)[number][0];

export interface Harm {
  readonly file: HarmedFile;
  readonly how: (typeof harms)[number][1][number];
  readonly name: string;
}

/** Damages a file. @returns the outcome in a word. */
export async function harm(world: World, { file, how, name }: Harm): Promise<string> {
  const path = world.statePath(name, file);
  if (!(await isFile(path))) return "no file";
  if (await isLastWord(world, { file, name })) return "spared";
  try {
    await harmFile(path, how);
  } catch (error) {
    if (!["ENOENT", "ENOSPC", "EEXIST", "EISDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    return (error as NodeJS.ErrnoException).code ?? ""; // its writer was quicker, or the disk is full
  }
  if (how === "folder") world.folders.add(path);
  return "done";
}

async function harmFile(path: string, how: Harm["how"]): Promise<void> {
  switch (how) {
    case "empty":
      return truncate(path, 0);
    case "cut":
      return truncate(path, Math.floor((await stat(path)).size / 2));
    case "delete":
      return rm(path);
    case "move":
      return rename(path, `${path}.old`);
    case "folder":
      await rm(path);
      await mkdir(path);
  }
}

/** Removes the folders that were put in the places of files. */
export async function takeFoldersAway(world: World): Promise<void> {
  for (const path of world.folders) {
    try {
      await rmdir(path);
    } catch (error) {
      // The file has been restored meanwhile.
      if (!["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    }
  }
  world.folders.clear();
}

/**
 * Whether only this file still names a server that has outlived its supervisor: no process would restore it.
 */
async function isLastWord(world: World, { file, name }: Pick<Harm, "file" | "name">): Promise<boolean> {
  if (name !== world.kept || (file !== "state.json" && file !== "server.lock")) return false;
  const presence = (await world.list()).find((entry) => entry.name === name)?.presence;
  if (presence === "live" || presence === "unresponsive") return false;
  const other = file === "state.json" ? "server.lock" : "state.json";
  return !(await namesServer(world.statePath(name, other)));
}

async function namesServer(path: string): Promise<boolean> {
  try {
    return (JSON.parse(await readFile(path, "utf8")) as { server?: unknown }).server != null;
  } catch {
    return false; // missing, cut or empty
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}
