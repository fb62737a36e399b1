import { execa } from "execa";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { llmctl } from "../support/llmctl.ts";
import { isAlive, type Listed } from "../support/processes.ts";
import { askForStory } from "../support/real-server.ts";
import { until } from "../support/until.ts";
import type { World } from "./world.ts";

/**
 * Waits until every profile has come to rest, and looks whether all is as it must be.
 * @throws Error that names what does not hold.
 */
export async function expectSound(world: World): Promise<void> {
  let why = "";
  const settled = async () => {
    const servers = await findServers(world.names);
    for (const [name, pids] of servers) if (pids.length > 1) throw new Error(`${name} has two servers: ${pids.join(", ")}`);
    const listed = await world.list();
    why =
      world.names
        .map((name) =>
          whyUnsound(
            world,
            listed.find((entry) => entry.name === name),
            servers.get(name),
          ),
        )
        .find(Boolean) ?? "";
    const zombies = await findZombies(listed.map(({ supervisorPid }) => supervisorPid));
    if (zombies.length > 0) why = `dead and not reaped by their supervisors: ${zombies.join(", ")}`;
    // A server that was replaced between the two looks is looked at again.
    return why === "" && listed;
  };
  const listed = await until("all is sound", settled).catch((error: unknown) => {
    throw new Error(why, { cause: error });
  });
  for (const status of listed) if (status.presence === "live" && status.state === "ready") await chat(world, status);
}

/** States that a profile may rest in; all others pass by themselves. */
const restingStates: readonly string[] = ["ready", "failed", "stopped"];

function whyUnsound({ kept }: World, entry: Listed | undefined, servers: readonly number[] = []): string | undefined {
  const [server] = servers;
  if (entry === undefined) return server === undefined ? undefined : `a server (pid ${server}) of a profile that ps does not know`;
  const says = `ps says of ${entry.name}: ${entry.presence}, ${entry.state}, pid ${entry.pid}; its server: ${server ?? "none"}`;
  switch (entry.presence) {
    case "unresponsive":
      return says;
    case "gone":
      return server === undefined ? undefined : says;
    case "orphaned":
      return entry.name === kept && server === entry.pid ? undefined : says;
    case "live":
      if (!isAlive(entry.supervisorPid) || !restingStates.includes(entry.state)) return says;
      return (entry.state === "ready" ? entry.pid : null) === (server ?? null) ? undefined : says;
  }
}

/** Living servers of each profile, found by what the system says of them and not by what llmctl says. */
async function findServers(names: readonly string[]): Promise<ReadonlyMap<string, readonly number[]>> {
  const found = new Map<string, number[]>(names.map((name) => [name, []]));
  for (const pid of (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry))) {
    const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
    const name = words[words.indexOf("--alias") + 1];
    // `setpriv` and the shell on the way to the server have its arguments, too, and its pid.
    if (name !== undefined && words.includes("--alias") && isAlive(Number(pid))) found.get(name)?.push(Number(pid));
  }
  return found;
}

/** Children of these processes that are dead and wait to be reaped. */
async function findZombies(parents: readonly number[]): Promise<readonly string[]> {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry));
  const stats = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, "latin1").catch(() => "")));
  return pids.filter((_, index) => {
    const [state, parent] = (stats[index] ?? "").replace(/^.*\) /s, "").split(" ");
    return state === "Z" && parents.includes(Number(parent));
  });
}

/** A server that ps calls ready answers; unless it stopped being that meanwhile. */
async function chat(world: World, { name, url, pid }: Listed): Promise<void> {
  try {
    await askForStory(url ?? "");
    world.chats += 1;
  } catch (error) {
    const now = (await world.list()).find((entry) => entry.name === name);
    if (now?.state === "ready" && now.pid === pid) throw new Error(`${name} is ready and does not answer at ${url}`, { cause: error });
  }
}

/** Every profile still works; and after it is down there is no process, lock, socket, port or temporary file of it. */
export async function expectNothingLeft(world: World): Promise<void> {
  const { home, names } = world;
  for (const name of names) {
    const down = await llmctl(["down", name], { home });
    if (down.exitCode !== 0 && down.exitCode !== 3) throw new Error(`down ${name} ended with ${down.exitCode}: ${down.stderr}`);
    const up = await llmctl(["up", "-d", name], { home });
    if (up.exitCode !== 0) throw new Error(`up ${name} ended with ${up.exitCode}: ${up.stdout}${up.stderr}`);
  }
  await expectSound(world);
  const all = await llmctl(["down", "--all"], { home });
  if (all.exitCode !== 0) throw new Error(`down --all ended with ${all.exitCode}: ${all.stderr}`);
  for (const [name, pids] of await findServers(names))
    if (pids.length > 0) throw new Error(`a server of ${name} is left: ${pids.join(", ")}`);
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
  if (path.endsWith(".lock") && (await execa("flock", ["-n", path, "true"], { reject: false })).failed)
    throw new Error(`still locked: ${path}`);
}
