import { lstat, readFile } from "node:fs/promises";
import type { Listed } from "../support/processes.ts";
import type { World } from "./world.ts";

/**
 * Why others could lose a living supervisor: one of the ways to find it (a lock, its socket or its state) is missing or
 * wrong.
 */
export async function whyNotFindable(world: World, listed: readonly Listed[]): Promise<string | undefined> {
  const reasons = await Promise.all(
    listed.filter(({ presence }) => presence === "live").map((entry) => whyNot(world, entry)),
  );
  return reasons.find((reason) => reason !== undefined);
}

async function whyNot(world: World, { name, supervisorPid, pid }: Listed): Promise<string | undefined> {
  // An emptied file cannot be restored.
  if (world.isDiskFull) return undefined;
  const lock = await readObject(world.statePath(name, "lock"));
  const socket = typeof lock?.["socket"] === "string" ? lock["socket"] : undefined;
  if (readPid(lock?.["holder"]) !== supervisorPid || socket === undefined)
    return `the lock of ${name} does not name its supervisor`;
  if (!(await isSocket(socket))) return `the socket of ${name} is not where its lock says: ${socket}`;
  const serverLock = await readObject(world.statePath(name, "server.lock"));
  const server = serverLock?.["server"] as { readonly identity?: unknown } | undefined;
  if (pid !== null && readPid(server?.identity) !== pid) return `the server's lock of ${name} does not name its server`;
  if (world.folders.has(world.statePath(name, "state.json"))) return undefined;
  const state = await readObject(world.statePath(name, "state.json"));
  if (readPid(state?.["supervisor"]) !== supervisorPid) return `the state of ${name} does not name its supervisor`;
  return state?.["socket"] === socket ? undefined : `the state of ${name} names another socket than its lock`;
}

function readPid(identity: unknown): number | undefined {
  return (identity as { readonly pid?: number } | null | undefined)?.pid;
}

/** @returns undefined for a missing or incomplete file. */
async function readObject(path: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
}

async function isSocket(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSocket();
  } catch {
    return false; // gone
  }
}
