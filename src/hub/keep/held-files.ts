import { readdir, readlink } from "node:fs/promises";
import { readBounded } from "../../base/files/read-bounded.ts";

/**
 * Which of these files other processes have open, mapped, or on their command line: a server that does not map its
 * model has closed the file by the time it is ready. Linux; where there is no /proc, none.
 */
export async function findHeldFiles(paths: readonly string[]): Promise<ReadonlySet<string>> {
  const held = new Set<string>();
  const pids = (await orNothing(readdir("/proc"), [])).filter(
    (entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid,
  );
  for (const pid of pids) {
    const { files, words } = await readPlaces(`/proc/${pid}`);
    for (const path of paths) if (files.has(path) || words.includes(path)) held.add(path);
  }
  return held;
}

/**
 * Stops what another process of the user says of itself; the kernel's own limits are 65,530 mappings, and some
 * megabytes of words.
 */
const mostBytes = 16 << 20;

async function readPlaces(folder: string): Promise<{ readonly files: ReadonlySet<string>; readonly words: string }> {
  const fds = await orNothing(readdir(`${folder}/fd`), []);
  const open = await Promise.all(fds.map((fd) => orNothing(readlink(`${folder}/fd/${fd}`), "")));
  const [words = "", maps = ""] = await Promise.all(
    ["cmdline", "maps"].map((name) => orNothing(readBounded(`${folder}/${name}`, mostBytes), "")),
  );
  // A set: each of some thousand paths would else be looked for in all of the text. The kernel says so of a file that
  // is gone.
  const files = [...open, ...maps.split("\n").map((line) => line.slice(Math.max(0, line.indexOf("/"))))];
  return { files: new Set(files.map((file) => file.replace(/ \(deleted\)$/, ""))), words };
}

/** A process may end, or belong to someone else, while it is being looked at. */
async function orNothing<T>(action: Promise<T>, nothing: T): Promise<T> {
  try {
    return await action;
  } catch {
    return nothing;
  }
}
