import { spawnSync } from "node:child_process";
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { isSystemError, LlmctlError, systemErrorCode } from "../../base/errors.ts";
import type { ExitName } from "../../base/exit-codes.ts";
import type { Fix } from "../../base/fix.ts";
import { foreignFile, noFollowFlags, notAFile, openOwnFile } from "../../base/files/own-file.ts";
import { ensureOwnFolder, isOwn } from "../../base/files/own-folder.ts";
import { isAt } from "../log/log-file.ts";
import { clearNote, type LockNote, saysNote, writeNote } from "./lock-note.ts";

/**
 * A lock that the kernel gives up when every process that holds the descriptor is gone. The server inherits the
 * descriptor, so the lock also stays held while a server lives on without its supervisor.
 */
export interface Lock {
  readonly path: string;
  readonly fd: number;
  /**
   * Says in the file who holds it, unless it says so already. Needs no room on the disk: a note takes the place of the
   * last one.
   * @throws the system's error.
   */
  note(note: LockNote): void;
  /** Whether the file at the path is still the one that is locked; false where it was removed or replaced. */
  isInPlace(): boolean;
  release(): void;
}

const busyExitCode = 75;
/** A lock file is replaced only when it was removed while it was being opened. */
const mostTries = 10;

type LockKind = "exclusive" | "shared";

/**
 * Takes a lock on a file, without waiting; the file says then that this process holds it.
 *
 * Node has no flock(2). The `flock` tool takes it on a descriptor that it inherits: the open file is shared, so the
 * lock stays ours when the tool has ended.
 * @returns undefined when another process holds it.
 * @throws LlmctlError `foreign-folder`, `foreign-file`, `tool-missing`, `state-unwritable` or `lock-failed`.
 */
export function takeLock(path: string, note: LockNote): Lock | undefined {
  const fd = lockFile(path, "exclusive");
  if (fd === undefined) return undefined;
  const lock = makeLock(path, fd);
  try {
    lock.note(note);
    return lock;
  } catch (cause) {
    closeSync(fd);
    throw stateUnwritable(path, cause);
  }
}

/** As {@link takeLock}, together with others who share it; nobody is named in the file. */
export function takeSharedLock(path: string): Lock | undefined {
  const fd = lockFile(path, "shared");
  return fd === undefined ? undefined : { ...makeLock(path, fd), release: () => closeSync(fd) };
}

/**
 * Whether any process holds a lock, in whatever pid namespace it is. Costs a process of some milliseconds.
 * @throws LlmctlError `foreign-file`, `tool-missing`, `lock-failed`.
 */
export function isLocked(path: string): boolean {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | noFollowFlags);
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return false; // no file, or none of ours: nobody of ours holds it
  }
  try {
    const info = fstatSync(fd);
    if (!isOwn(info)) throw foreignFile(path, info.uid, "lock file");
    return !tryToLock(fd, path, "shared");
  } finally {
    closeSync(fd);
  }
}

/**
 * Says in a lock file who the process is that has inherited the lock, or, without a note, that it holds it no more.
 * Makes the file anew where it was removed.
 * @throws as {@link takeLock}, the system's error.
 */
export function noteHeldLock(path: string, note: LockNote | undefined): void {
  const fd = openLockFile(path);
  try {
    if (note === undefined) clearNote(fd);
    else if (!saysNote(fd, note)) writeNote(fd, note);
  } finally {
    closeSync(fd);
  }
}

/** Opens and locks a file. A file that was removed between the two is nobody's lock any more, and another is made. */
function lockFile(path: string, kind: LockKind): number | undefined {
  for (let tries = 0; tries < mostTries; tries += 1) {
    const fd = openLockFile(path);
    try {
      if (!tryToLock(fd, path, kind)) {
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
    note: (note) => {
      if (!saysNote(fd, note)) writeNote(fd, note);
    },
    isInPlace: () => isAt(path, fd),
    release: () => {
      try {
        clearNote(fd);
      } catch (error) {
        // An emptied file on a full disk. The kernel gives up the lock all the same, and the file names nobody who
        // runs.
        if (!isSystemError(error)) throw error;
      } finally {
        closeSync(fd);
      }
    },
  };
}

/** @returns false when another process holds it. @throws LlmctlError `tool-missing`, `lock-failed`. */
function tryToLock(fd: number, path: string, kind: LockKind): boolean {
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
    // ENXIO: a socket, which cannot be opened.
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
  // What Node's recursive mkdir makes of EROFS; a folder that is only missing it would have made.
  ENOENT: { why: "its folder cannot be made, the file system may be read-only", exit: "io", fix: otherFolder },
  ENOTDIR: { why: "a file is in the place of a folder", exit: "io", fix: `remove that file, or ${otherFolder}` },
  EISDIR: { why: "a folder is in the place of a file", exit: "io", fix: "remove that folder" },
  EEXIST: { why: "a file is in the place of a folder", exit: "io", fix: `remove that file, or ${otherFolder}` },
  ELOOP: { why: "a link is in the place of the file", exit: "permission", fix: `remove that link, or ${otherFolder}` },
};

/** The error for a file of ours that cannot be written, with the cause in words. */
export function stateUnwritable(path: string, cause: unknown): LlmctlError {
  if (cause instanceof LlmctlError) return cause;
  const { why, exit, fix } = unwritableBecause[systemErrorCode(cause) ?? ""] ?? {
    // Without the call and the name of a temporary file, which is another each time: the same fault has the same words.
    why: (cause instanceof Error ? cause.message : String(cause)).split(",", 1)[0] ?? "",
    exit: "io",
    fix: otherFolder,
  };
  return new LlmctlError("state-unwritable", `cannot write ${path}: ${why}`, { exit, at: dirname(path), fix, cause });
}
