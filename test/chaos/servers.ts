import { readdir, readFile } from "node:fs/promises";
import { isAlive } from "../support/processes.ts";

/** Living servers of each profile, from the system's list of processes and not from llmctl. */
export async function findServers(names: readonly string[]): Promise<ReadonlyMap<string, readonly number[]>> {
  const found = new Map<string, number[]>(names.map((name) => [name, []]));
  for (const pid of (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry))) {
    const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
    const name = words[words.indexOf("--alias") + 1];
    // `setpriv` and the shell that start the server have its arguments, too, and its pid.
    if (name !== undefined && words.includes("--alias") && isAlive(Number(pid))) found.get(name)?.push(Number(pid));
  }
  return found;
}

/** Dead children of these processes that wait to be reaped. */
export async function findZombies(parents: readonly number[]): Promise<readonly string[]> {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry));
  const stats = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, "latin1").catch(() => "")));
  return pids.filter((_, index) => {
    const [state, parent] = (stats[index] ?? "").replace(/^.*\) /s, "").split(" ");
    return state === "Z" && parents.includes(Number(parent));
  });
}

/** @returns whether there was such a process. */
export function signalIfThere(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}
