import { readdir, readlink } from "node:fs/promises";
import { readBounded } from "../../base/files/read-bounded.ts";

/**
 * Finds the files that other processes have open, mapped, or on their command line. (A server that does not map its
 * model has closed the file by the time it is ready.) Without /proc it finds none.
 */
export async function findHeldFiles(paths: readonly string[]): Promise<ReadonlySet<string>> {
  const held = new Set<string>();
  const pids = (await orDefault(readdir("/proc"), [])).filter(
    (entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid,
  );
  for (const pid of pids) {
    const { files, words } = await readProcess(`/proc/${pid}`);
    for (const path of paths) if (files.has(path) || words.includes(path)) held.add(path);
  }
  return held;
}

/** Bounds the text of another process; the kernel allows 65,530 mappings and a few megabytes of arguments. */
const mostBytes = 16 << 20;

async function readProcess(folder: string): Promise<{ readonly files: ReadonlySet<string>; readonly words: string }> {
  const fds = await orDefault(readdir(`${folder}/fd`), []);
  const open = await Promise.all(fds.map((fd) => orDefault(readlink(`${folder}/fd/${fd}`), "")));
  const [words = "", maps = ""] = await Promise.all(
    ["cmdline", "maps"].map((name) => orDefault(readBounded(`${folder}/${name}`, mostBytes), "")),
  );
  // A set: searching thousands of paths in the text would be slow. The kernel marks deleted files.
  const files = [...open, ...maps.split("\n").map((line) => line.slice(Math.max(0, line.indexOf("/"))))];
  return { files: new Set(files.map((file) => file.replace(/ \(deleted\)$/, ""))), words };
}

/** A process may end meanwhile, or belong to another user. */
async function orDefault<T>(action: Promise<T>, nothing: T): Promise<T> {
  try {
    return await action;
  } catch {
    return nothing;
  }
}
