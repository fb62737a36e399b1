import { readdir, readFile, readlink } from "node:fs/promises";

/**
 * Which of these files other processes have open, mapped, or on their command line: a server that does not map its model has closed the file
 * by the time it is ready. Linux; where there is no /proc, none.
 */
export async function findHeldFiles(paths: readonly string[]): Promise<ReadonlySet<string>> {
  const held = new Set<string>();
  const pids = (await orNothing(readdir("/proc"), [])).filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid);
  for (const pid of pids) {
    const places = await readPlaces(`/proc/${pid}`);
    for (const path of paths) if (places.some((place) => place.includes(path))) held.add(path);
  }
  return held;
}

async function readPlaces(folder: string): Promise<string[]> {
  const fds = await orNothing(readdir(`${folder}/fd`), []);
  const open = await Promise.all(fds.map((fd) => orNothing(readlink(`${folder}/fd/${fd}`), "")));
  const texts = await Promise.all(["cmdline", "maps"].map((name) => orNothing(readFile(`${folder}/${name}`, "utf8"), "")));
  return [...open, ...texts];
}

/** A process may end, or belong to someone else, while it is being looked at. */
async function orNothing<T>(action: Promise<T>, nothing: T): Promise<T> {
  try {
    return await action;
  } catch {
    return nothing;
  }
}
