import { execa } from "execa";
import { readdir, readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { isAlive, type Listed } from "../support/processes.ts";
import { askForStory } from "../support/real-server.ts";
import { until } from "../support/until.ts";
import { whyNotFindable } from "./findable.ts";
import { findServers, findZombies } from "./servers.ts";
import type { World } from "./world.ts";

/** What was removed is there again within a few health intervals; a machine that others use needs longer. */
const restoreLimitMs = 10_000;

/**
 * Waits until every profile has come to rest, and looks whether all is as it must be.
 * @throws Error that names what does not hold.
 */
export async function expectSound(world: World): Promise<void> {
  const startMs = performance.now();
  let why = "";
  const settled = async () => {
    const servers = await findServers(world.names);
    for (const [name, pids] of servers)
      if (pids.length > 1) throw new Error(`${name} has two servers: ${pids.join(", ")}`);
    const listed = await world.list();
    const lost = await whyNotFindable(world, listed);
    if (lost !== undefined && performance.now() - startMs > restoreLimitMs) throw new Error(lost);
    const unsound = world.names.map((name) => whyUnsound(world, find(listed, name), servers.get(name)));
    const zombies = await findZombies(listed.map(({ supervisorPid }) => supervisorPid));
    why =
      unsound.find(Boolean) ??
      lost ??
      (zombies.length > 0 ? `dead and not reaped by their supervisors: ${zombies.join(", ")}` : "");
    // A server that was replaced between the two looks is looked at again.
    return why === "" && listed;
  };
  const listed = await until("all is sound", settled).catch((error: unknown) => {
    throw new Error(why || String(error), { cause: error });
  });
  const ready = listed.filter(({ presence, state }) => presence === "live" && state === "ready");
  for (const status of ready) await chat(world, status);
  await expectReadable(world, ready);
  await expectNoBug(world);
}

/** A `down` that says that it has stopped a profile has done so. */
export async function expectStopped(names: readonly string[]): Promise<void> {
  for (const [name, pids] of await findServers(names))
    if (pids.length > 0)
      throw new Error(`down says that it has stopped ${name}, and it has a server: ${pids.join(", ")}`);
}

function find(listed: readonly Listed[], name: string): Listed | undefined {
  return listed.find((entry) => entry.name === name);
}

function whyUnsound({ kept }: World, entry: Listed | undefined, servers: readonly number[] = []): string | undefined {
  const [server] = servers;
  if (entry === undefined)
    return server === undefined ? undefined : `a server (pid ${server}) of a profile that ps does not know`;
  const says =
    `ps says of ${entry.name}: ${entry.presence}, ${entry.state}, pid ${entry.pid}; its server: ` +
    `${server ?? "none"}`;
  switch (entry.presence) {
    case "unresponsive":
      return says;
    case "gone":
      return server === undefined ? undefined : says;
    case "orphaned":
      return entry.name === kept && server === entry.pid ? undefined : says;
    case "live":
      // All other states pass by themselves.
      return isAlive(entry.supervisorPid) && entry.state === "ready" && entry.pid === server ? undefined : says;
  }
}

/** A server that ps calls ready answers; unless it stopped being that meanwhile. */
async function chat(world: World, { name, url, pid }: Listed): Promise<void> {
  try {
    await askForStory(url ?? "");
    world.chats += 1;
  } catch (error) {
    const now = find(await world.list(), name);
    if (now?.state === "ready" && now.pid === pid)
      throw new Error(`${name} is ready and does not answer at ${url}`, { cause: error });
  }
}

/** The log and the events of one profile that serves can be read; which one, changes from look to look. */
async function expectReadable(world: World, ready: readonly Listed[]): Promise<void> {
  const name = ready[world.chats % ready.length]?.name;
  if (name === undefined) return;
  const endMs = performance.now() + restoreLimitMs;
  for (const [command, file] of [
    ["logs", "server.log"],
    ["events", "supervisor.log"],
  ] as const) {
    await until(`${command} ${name} can be read`, async () => {
      const { exitCode, stderr } = await world.run([command, "-n", "1", name], world.nextLogin());
      if (exitCode === 0) return true;
      // Events are written anew with the next one.
      const isExcused = command === "events" || world.folders.has(world.statePath(name, file));
      const isMissing = exitCode === 66 && stderr.includes("was moved or deleted");
      if (!isMissing || (!isExcused && performance.now() > endMs))
        throw new Error(`${command} ${name}: ${exitCode} ${stderr}`);
      return isExcused;
    });
  }
}

/** No supervisor has ended by a mistake of ours, or wrote of one. */
async function expectNoBug(world: World): Promise<void> {
  for (const name of world.names) {
    for (const file of ["supervisor.log", "supervisor.log.old"]) {
      const text = await readFile(world.statePath(name, file), "utf8").catch(() => ""); // moved, deleted or replaced
      const at = text.search(/internal error|^ {4}at /m);
      if (at >= 0) throw new Error(`the supervisor of ${name} says:\n${text.slice(Math.max(0, at - 500), at + 1500)}`);
    }
  }
}

/** Every profile still works; and after it is down there is no process, lock, socket, port or temporary file of it. */
export async function expectNothingLeft(world: World): Promise<void> {
  const { home, names } = world;
  for (const name of names) {
    const down = await world.run(["down", name], world.nextLogin());
    if (down.exitCode !== 0 && down.exitCode !== 3)
      throw new Error(`down ${name} ended with ${down.exitCode}: ${down.stderr}`);
  }
  // Of supervisors that were killed; the next one may have its socket elsewhere.
  for (const path of await listFiles(home.path)) if (path.endsWith(".sock")) await rm(path);
  for (const name of names) {
    const up = await world.run(["up", "-d", name], world.nextLogin());
    if (up.exitCode !== 0) throw new Error(`up ${name} ended with ${up.exitCode}: ${up.stdout}${up.stderr}`);
  }
  await expectSound(world);
  const all = await world.run(["down", "--all"], world.nextLogin());
  if (all.exitCode !== 0) throw new Error(`down --all ended with ${all.exitCode}: ${all.stderr}`);
  await expectStopped(names);
  if (!(await world.stealPort())) throw new Error(`port ${world.port} is still in use`);
  await world.giveBackPort();
  for (const path of await listFiles(home.path)) await expectNotLeaked(path);
}

async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
}

async function expectNotLeaked(path: string): Promise<void> {
  if (path.endsWith(".sock") || path.endsWith(".tmp")) throw new Error(`left behind: ${path}`);
  const isLock = path.endsWith(".lock") || basename(path) === "lock";
  if (isLock && (await execa("flock", ["-n", path, "true"], { reject: false })).failed)
    throw new Error(`still locked: ${path}`);
}
