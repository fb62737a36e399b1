import { spawnSync } from "node:child_process";
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { isSystemError, LlmctlError, systemErrorCode } from "../../base/errors.ts";
import type { ExitName } from "../../base/exit-codes.ts";
import type { Fix } from "../../base/fix.ts";
import { foreignFile, noFollowFlags, notAFile, openOwnFile } from "../../base/files/own-file.ts";
import { ensureOwnFolder, isOwn } from "../../base/files/own-folder.ts";
import { isAt } from "../log/open-log-for-appending.ts";
import {
  holdsLockRecord,
  isHolderRunning,
  type LockRecord,
  markReleased,
  readLockRecord,
  writeLockRecord,
} from "./lock-record.ts";

/**
 * A lock that the kernel releases when every process with the descriptor is gone. The server inherits the descriptor,
 * so its lock stays held while it outlives its supervisor.
 */
export interface Lock {
  readonly path: string;
  readonly fd: number;
  /**
   * Writes a record into the file unless it is there already. Overwrites the last record, so it needs no disk space.
   * @throws the system's error.
   */
  record(record: LockRecord): void;
  /** Whether the file at the path is still the locked one; false after it was removed or replaced. */
  isInPlace(): boolean;
  release(): void;
}

const busyExitCode = 75;
/** Opening is repeated when the file was removed between opening and locking. */
const mostTries = 10;

type LockKind = "exclusive" | "shared";

/**
 * Asks the kernel for a lock on an open file, without waiting.
 * @returns false when another process holds it.
 */
export type Flock = (fd: number, path: string, kind: LockKind) => boolean;

/**
 * Takes a lock on a file without waiting, and writes the record into it.
 * @returns undefined when another process holds it.
 * @throws LlmctlError `foreign-folder`, `foreign-file`, `tool-missing`, `state-unwritable` or `lock-failed`.
 */
export function takeLock(path: string, record: LockRecord, flock: Flock = runFlock): Lock | undefined {
  const fd = lockFile(path, "exclusive", flock);
  if (fd === undefined) return undefined;
  const lock = makeLock(path, fd);
  try {
    lock.record(record);
    return lock;
  } catch (cause) {
    closeSync(fd);
    throw stateUnwritable(path, cause);
  }
}

/** Like {@link takeLock}, but shared with other holders and without a record in the file. */
export function takeSharedLock(path: string, flock: Flock = runFlock): Lock | undefined {
  const fd = lockFile(path, "shared", flock);
  return fd === undefined ? undefined : { ...makeLock(path, fd), release: () => closeSync(fd) };
}

/** Whether any process holds a lock: by the record in its file, or by the kernel when the record does not tell. */
export function isLockHeld(path: string, flock: Flock = runFlock): boolean {
  const isRunning = isHolderRunning(readLockRecord(path));
  return isRunning === "unknown" ? isLocked(path, flock) : isRunning;
}

/**
 * Whether any process holds a lock for the kernel, in any pid namespace. Spawns a tool for some milliseconds.
 * @throws LlmctlError `foreign-file`, `tool-missing`, `lock-failed`.
 */
export function isLocked(path: string, flock: Flock = runFlock): boolean {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | noFollowFlags);
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return false; // no file, or one that we may not open: none of our processes holds it
  }
  try {
    const info = fstatSync(fd);
    if (!isOwn(info)) throw foreignFile(path, info.uid, "lock file");
    return !flock(fd, path, "shared");
  } finally {
    closeSync(fd);
  }
}

/**
 * Writes into a lock file which process has inherited the lock, or, without a record, that the lock is released.
 * Recreates a removed file.
 * @throws as {@link takeLock}, the system's error.
 */
export function recordInheritedLock(path: string, record: LockRecord | undefined): void {
  const fd = openLockFile(path);
  try {
    if (record === undefined) markReleased(fd);
    else if (!holdsLockRecord(fd, record)) writeLockRecord(fd, record);
  } finally {
    closeSync(fd);
  }
}

/** Opens and locks a file. If the file was removed between the two, its lock means nothing and a new file is made. */
function lockFile(path: string, kind: LockKind, flock: Flock): number | undefined {
  for (let tries = 0; tries < mostTries; tries += 1) {
    const fd = openLockFile(path);
    try {
      if (!flock(fd, path, kind)) {
        closeSync(fd);
        return undefined;
      }
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    if (isAt(path, fd)) return fd;
    closeSync(fd);
  }
  throw new LlmctlError("lock-failed", "the lock file is removed again and again", { exit: "io", at: path });
}

function makeLock(path: string, fd: number): Lock {
  return {
    path,
    fd,
    record: (record) => {
      if (!holdsLockRecord(fd, record)) writeLockRecord(fd, record);
    },
    isInPlace: () => isAt(path, fd),
    release: () => {
      try {
        markReleased(fd);
      } catch (error) {
        // An emptied file on a full disk. Closing releases the lock all the same, and the file names no running
        // process.
        if (!isSystemError(error)) throw error;
      } finally {
        closeSync(fd);
      }
    },
  };
}

/**
 * Node has no flock(2). The `flock` tool locks a descriptor that it inherits: the lock belongs to the shared open file,
 * so we keep it after the tool has ended.
 * @throws LlmctlError `tool-missing`, `lock-failed`.
 */
export function runFlock(fd: number, path: string, kind: LockKind): boolean {
  const words = kind === "shared" ? ["-s", "-n"] : ["-n"];
  const { status, error, stderr } = spawnSync("flock", [...words, "-E", String(busyExitCode), "3"], {
    stdio: ["ignore", "ignore", "pipe", fd],
  });
  if (status === 0) return true;
  if (status === busyExitCode) return false;
  if (systemErrorCode(error) === "ENOENT") {
    throw new LlmctlError("tool-missing", 'the tool "flock" is not installed', {
      exit: "missingFile",
      fix: "install util-linux",
    });
  }
  throw new LlmctlError("lock-failed", `cannot lock: ${error?.message ?? stderr.toString().trim()}`, {
    exit: "io",
    at: path,
    cause: error,
  });
}

function openLockFile(path: string): number {
  try {
    ensureOwnFolder(dirname(path));
    return openOwnFile(path, constants.O_RDWR | constants.O_CREAT, "lock file");
  } catch (cause) {
    if (cause instanceof LlmctlError) throw cause;
    // ENXIO: the path is a socket.
    throw systemErrorCode(cause) === "ENXIO" ? notAFile(path) : stateUnwritable(path, cause);
  }
}

const noSpace = { why: "no space left on the disk", exit: "io", fix: "free some space" } as const;
const noPermission = {
  why: "no permission to write there",
  exit: "permission",
  fix: "check who owns the folder, or set LLMCTL_HOME to one that you can write",
} as const;
const otherFolder = "set LLMCTL_HOME to a folder that can be written";

const unwritableBecause: Readonly<
  Record<string, { readonly why: string; readonly exit: ExitName; readonly fix: Fix }>
> = {
  ENOSPC: noSpace,
  EDQUOT: noSpace,
  EACCES: noPermission,
  EPERM: noPermission,
  EROFS: { why: "the file system is read-only", exit: "io", fix: otherFolder },
  // Node's recursive mkdir reports EROFS so; a folder that is only missing would have been made.
  ENOENT: { why: "its folder cannot be created, the file system may be read-only", exit: "io", fix: otherFolder },
  ENOTDIR: { why: "a file is in the place of a folder", exit: "io", fix: `remove that file, or ${otherFolder}` },
  EISDIR: { why: "a folder is in the place of a file", exit: "io", fix: "remove that folder" },
  EEXIST: { why: "a file is in the place of a folder", exit: "io", fix: `remove that file, or ${otherFolder}` },
  ELOOP: { why: "a link is in the place of the file", exit: "permission", fix: `remove that link, or ${otherFolder}` },
};

/** The error for a state, lock or log file that cannot be written, with the cause in words. */
export function stateUnwritable(path: string, cause: unknown): LlmctlError {
  if (cause instanceof LlmctlError) return cause;
  const { why, exit, fix } = unwritableBecause[systemErrorCode(cause) ?? ""] ?? {
    // Without the call and the temporary file's name, which changes: the same fault must give the same warning.
    why: (cause instanceof Error ? cause.message : String(cause)).split(",", 1)[0] ?? "",
    exit: "io",
    fix: otherFolder,
  };
  return new LlmctlError("state-unwritable", `cannot write ${path}: ${why}`, { exit, at: dirname(path), fix, cause });
}
