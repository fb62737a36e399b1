import { readdirSync, readFileSync, statSync, type Stats } from "node:fs";
import { identifyProcess, type ProcessIdentity } from "./process-identity.ts";

/**
 * A process that has a lock, as the system tells it: for a file that no longer says who holds it. Who only reads the file (a backup, `less`) is none:
 * whoever is found may be ended. Processes of other users and of other pid namespaces cannot be seen. Reads all of /proc, some ten milliseconds.
 */
export function findLocker(path: string): ProcessIdentity | undefined {
  const file = statOrNone(path);
  if (file === undefined) return undefined;
  const pid = listNames("/proc").find((name) => /^\d+$/.test(name) && Number(name) !== process.pid && hasLocked(name, file));
  return pid === undefined ? undefined : identifyProcess(Number(pid));
}

function hasLocked(pid: string, file: Stats): boolean {
  return listNames(`/proc/${pid}/fd`).some((fd) => {
    const open = statOrNone(`/proc/${pid}/fd/${fd}`);
    return open !== undefined && open.ino === file.ino && open.dev === file.dev && isLockOf(pid, fd);
  });
}

/** @see proc_pid_fdinfo(5): a line for each lock that the open file has, whichever process took it. */
function isLockOf(pid: string, fd: string): boolean {
  try {
    return /^lock:.*\bFLOCK\b/m.test(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1"));
  } catch {
    return false; // closed meanwhile
  }
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
