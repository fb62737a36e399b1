import { constants, fstatSync, lstatSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { isSystemError } from "../../base/errors.ts";
import { openOwnFile } from "../../base/files/own-file.ts";
import { ensureOwnFolder } from "../../base/files/own-folder.ts";

/**
 * Opens a log of ours to append to it, and makes it and its folder where they are missing.
 * @throws LlmctlError `foreign-folder`, and as `openOwnFile`; the system's error.
 */
export function openLogForAppending(path: string): number {
  ensureOwnFolder(dirname(path));
  return openOwnFile(path, constants.O_RDWR | constants.O_CREAT | constants.O_APPEND, "log");
}

/**
 * Whether a path still names an open file: it may have been moved, deleted or replaced meanwhile, also by a link to it.
 */
export function isAt(path: string, fd: number): boolean {
  const own = fstatSync(fd);
  try {
    const { dev, ino } = lstatSync(path);
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
