import { spawnSync } from "node:child_process";
import { closeSync, constants, fstatSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import { identifyProcess, isRunning, type ProcessIdentity } from "./process-identity.ts";

/**
 * A lock that the kernel gives up when every process that holds the descriptor is gone. The server inherits the descriptor, so the lock
 * also stays held while a server lives on without its supervisor.
 */
export interface Lock {
  readonly fd: number;
  release(): void;
}

const busyExitCode = 75;

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
  if (status === 0) {
    writeHolder(fd);
    return { fd, release: () => closeSync(fd) };
  }
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

/** The error for a file of ours that cannot be written, with the cause in words. */
export function unwritable(path: string, cause: unknown): LlmctlError {
  const code = systemErrorCode(cause);
  const why =
    code === "ENOSPC"
      ? "no space left on the disk"
      : code === "EACCES" || code === "EPERM" || code === "EROFS"
        ? "no permission to write there"
        : String(cause instanceof Error ? cause.message : cause);
  return new LlmctlError("state-unwritable", `cannot write ${path}: ${why}`, {
    exit: code === "ENOSPC" ? "io" : code === "EACCES" || code === "EPERM" ? "permission" : "io",
    at: dirname(path),
    fix: code === "ENOSPC" ? "free some space" : "check who owns the folder, or set LLMCTL_HOME to one that you can write",
    cause,
  });
}

function writeHolder(fd: number): void {
  ftruncateSync(fd);
  writeSync(fd, JSON.stringify(identifyProcess(process.pid)), 0);
}
