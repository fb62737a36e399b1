import { readdirSync, readFileSync, readlinkSync, realpathSync, statSync, type Stats } from "node:fs";
import { basename, dirname, join } from "node:path";
import { systemErrorCode } from "../../base/errors.ts";
import { identifyProcess, type ProcessIdentity } from "./process-identity.ts";

/**
 * Finds in /proc the process that holds a lock whose file has lost its record. A process that only reads the file (a
 * backup, `less`) does not count, since the caller may kill what is found. Processes of other users and of other pid
 * namespaces are not visible. Reads all of /proc, which takes some ten milliseconds.
 */
export function findLockHolder(path: string): ProcessIdentity | undefined {
  const file = statOrNone(path);
  if (file === undefined) return undefined;
  const pid = listNames("/proc").find(
    (name) => /^\d+$/.test(name) && Number(name) !== process.pid && hasLocked(name, file),
  );
  return pid === undefined ? undefined : identifyProcess(Number(pid));
}

/**
 * Whether a process holds the lock of this path: on the present file, or on a removed one that it still has open.
 * @returns undefined when the system does not tell: there is no /proc, or the process is closed to its own user, like a
 *   program with file capabilities (setcap).
 */
export function holdsLock(pid: number, path: string): boolean | undefined {
  let fds: readonly string[];
  try {
    fds = readdirSync(`/proc/${pid}/fd`);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    return code === "EACCES" || code === "EPERM" || process.platform !== "linux" ? undefined : false;
  }
  const file = statOrNone(path);
  const removed = `${join(realFolder(path), basename(path))} (deleted)`;
  return fds.some((fd) => {
    const link = `/proc/${pid}/fd/${fd}`;
    const open = statOrNone(link);
    const isThere = file !== undefined && open?.ino === file.ino && open.dev === file.dev;
    return (isThere || readLink(link) === removed) && isLockOf(String(pid), fd);
  });
}

function realFolder(path: string): string {
  try {
    return realpathSync(dirname(path));
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return dirname(path); // the folder is removed as well
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined; // closed meanwhile
  }
}

function hasLocked(pid: string, file: Stats): boolean {
  return listNames(`/proc/${pid}/fd`).some((fd) => {
    const open = statOrNone(`/proc/${pid}/fd/${fd}`);
    return open !== undefined && open.ino === file.ino && open.dev === file.dev && isLockOf(pid, fd);
  });
}

/** @see proc_pid_fdinfo(5): one line for each lock on the open file, whichever process took it. */
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
    return []; // the process has ended or is not visible to us
  }
}

function statOrNone(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}
