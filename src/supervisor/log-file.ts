import { closeSync, constants, fstatSync, openSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { isSystemError, LlmctlError } from "../base/errors.ts";
import { makeFolder } from "../base/own-folder.ts";

/**
 * A link is not followed. O_NONBLOCK is for a pipe in the file's place, which would keep us until somebody reads it; to a file it means
 * nothing.
 */
const flags = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Opens a log of ours to append to it, and makes it and its folder where they are missing.
 * @throws the system's error, LlmctlError `not-a-file`.
 */
export function openLogFile(path: string): number {
  makeFolder(dirname(path));
  const fd = openSync(path, flags, 0o600);
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw notAFile(path);
}

export function notAFile(path: string): LlmctlError {
  return new LlmctlError("not-a-file", "what is in its place is not a file", { exit: "io", at: path, fix: "remove it" });
}

/** Whether a path still leads to an open file: it may have been moved, deleted or replaced meanwhile. */
export function isAt(path: string, fd: number): boolean {
  const own = fstatSync(fd);
  try {
    const { dev, ino } = statSync(path);
    return dev === own.dev && ino === own.ino;
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return false; // whoever opens it anew learns why it cannot be had
  }
}

/** Appends all of it. @throws the system's error; a part may have been written then. */
export function appendAll(fd: number, data: Buffer): void {
  for (let at = 0; at < data.length;) at += writeSync(fd, data, at);
}
