import { spawnSync } from "node:child_process";
import { closeSync, constants, fstatSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import type { ExitName } from "../base/exit-codes.ts";
import { identifyProcess, isRunning, type ProcessIdentity } from "./process-identity.ts";

/**
 * A lock that the kernel gives up when every process that holds the descriptor is gone. The server inherits the descriptor, so the lock
 * also stays held while a server lives on without its supervisor.
 */
export interface Lock {
  readonly fd: number;
  /** Notes in the file which server has inherited the lock. Needs no room on the disk: the note takes the place of the last one. @throws the system's error. */
  note(server: ProcessIdentity): void;
  release(): void;
}

const busyExitCode = 75;
/** Of what is written into a lock file: room for two identities. */
const noteLength = 400;

/**
 * Takes an exclusive lock on a file, without waiting.
 *
 * Node has no flock(2). The `flock` tool takes it on a descriptor that it inherits: the open file is shared, so the lock stays ours when
 * the tool has ended.
 * @returns undefined when another process holds it.
 * @throws LlmctlError `tool-missing`, `state-unwritable` or `lock-failed`.
 */
export function takeLock(path: string): Lock | undefined {
  const fd = openLockFile(path);
  const { status, error, stderr } = spawnSync("flock", ["-n", "-E", String(busyExitCode), "3"], {
    stdio: ["ignore", "ignore", "pipe", fd],
  });
  if (status === 0) return holdLock(fd, path);
  closeSync(fd);
  if (status === busyExitCode) return undefined;
  if (systemErrorCode(error) === "ENOENT") {
    throw new LlmctlError("tool-missing", 'the tool "flock" is not installed', { exit: "missingFile", fix: "install util-linux" });
  }
  throw new LlmctlError("lock-failed", `cannot lock: ${error?.message ?? stderr.toString().trim()}`, { exit: "io", at: path });
}

/** The process that took the lock, while it runs; undefined when it is gone (the lock may still be held by what it started). */
export function findLockHolder(path: string): ProcessIdentity | undefined {
  try {
    const holder = JSON.parse(readFileSync(path, "utf8")) as ProcessIdentity;
    return isRunning(holder) ? holder : undefined;
  } catch {
    return undefined; // no lock file, or its holder is just writing it: both mean "not known"
  }
}

/** The server that has inherited a lock, while it runs. */
export function findLockedServer(path: string): ProcessIdentity | undefined {
  try {
    const { server } = JSON.parse(readFileSync(path, "utf8")) as { readonly server?: ProcessIdentity };
    return server !== undefined && isRunning(server) ? server : undefined;
  } catch {
    return undefined; // no lock file, or of a version that noted no server
  }
}

function openLockFile(path: string): number {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    const owner = fstatSync(fd).uid;
    if (owner === process.getuid?.()) return fd;
    closeSync(fd);
    throw new LlmctlError("foreign-file", `the lock file belongs to another user (uid ${owner})`, {
      exit: "permission",
      at: path,
      fix: "run llmctl as that user, or remove the file",
    });
  } catch (cause) {
    if (cause instanceof LlmctlError) throw cause;
    throw unwritable(path, cause);
  }
}

const noSpace = { why: "no space left on the disk", exit: "io", fix: "free some space" } as const;
const noPermission = {
  why: "no permission to write there",
  exit: "permission",
  fix: "check who owns the folder, or set LLMCTL_HOME to one that you can write",
} as const;
const otherFolder = "set LLMCTL_HOME to a folder that can be written";

const unwritableBecause: Readonly<Record<string, { readonly why: string; readonly exit: ExitName; readonly fix: string }>> = {
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
};

/** The error for a file of ours that cannot be written, with the cause in words. */
export function unwritable(path: string, cause: unknown): LlmctlError {
  const { why, exit, fix } = unwritableBecause[systemErrorCode(cause) ?? ""] ?? {
    why: cause instanceof Error ? cause.message : String(cause),
    exit: "io",
    fix: otherFolder,
  };
  return new LlmctlError("state-unwritable", `cannot write ${path}: ${why}`, { exit, at: dirname(path), fix, cause });
}

/** Says in the locked file who holds it. */
function holdLock(fd: number, path: string): Lock {
  const self = identifyProcess(process.pid);
  const write = (server?: ProcessIdentity) => writeSync(fd, JSON.stringify({ ...self, server }).padEnd(noteLength), 0);
  try {
    ftruncateSync(fd);
    write();
    return { fd, note: write, release: () => closeSync(fd) };
  } catch (cause) {
    closeSync(fd);
    throw unwritable(path, cause);
  }
}
