import { readdirSync, statSync, type Stats } from "node:fs";
import { identifyProcess, type ProcessIdentity } from "./process-identity.ts";

/**
 * A process that has a file open, as the system tells it: for a lock whose file no longer says who holds it. Processes of other users and of
 * other pid namespaces cannot be seen. Reads all of /proc, some ten milliseconds.
 */
export function findOpener(path: string): ProcessIdentity | undefined {
  const file = statOrNone(path);
  if (file === undefined) return undefined;
  const pid = listNames("/proc").find((name) => /^\d+$/.test(name) && Number(name) !== process.pid && hasOpen(name, file));
  return pid === undefined ? undefined : identifyProcess(Number(pid));
}

function hasOpen(pid: string, file: Stats): boolean {
  return listNames(`/proc/${pid}/fd`).some((fd) => {
    const open = statOrNone(`/proc/${pid}/fd/${fd}`);
    return open !== undefined && open.ino === file.ino && open.dev === file.dev;
  });
}

function listNames(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // a process that has ended, or that is not ours to see
  }
}

function statOrNone(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}
