import { closeSync, constants, fstatSync, openSync, type Stats } from "node:fs";
import { LlmctlError } from "../errors.ts";
import { isOwn } from "./own-folder.ts";
import { describeUser } from "../describe-user.ts";

/**
 * Flags for a path where somebody else may have placed something: a link is not followed, and a named pipe does not
 * block. O_NONBLOCK has no effect on a regular file.
 */
export const noFollowFlags = constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Opens a file of this user for writing. It checks the opened file and not the path: it must be a regular file of this
 * user without a second hard link.
 * @param flags In addition to {@link noFollowFlags}.
 * @param what What an error calls the file, such as `lock file`.
 * @throws LlmctlError `not-a-file`, `foreign-file` and `linked-file` (77); the system's error.
 */
export function openOwnFile(path: string, flags: number, what = "file"): number {
  const fd = openSync(path, flags | noFollowFlags, 0o600);
  try {
    expectOwnFile(path, fstatSync(fd), what);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** @throws as {@link openOwnFile}. */
function expectOwnFile(path: string, info: Stats, what: string): void {
  if (!isOwn(info)) throw foreignFile(path, info.uid, what);
  expectPlainFile(path, info, what);
}

/** As {@link openOwnFile}, for a file that may belong to another user, as in a shared cache. */
export function expectPlainFile(path: string, info: Stats, what = "file"): void {
  if (!info.isFile()) throw notAFile(path);
  // Writing would change the file under its other name, too.
  if (info.nlink > 1) throw linkedFile(path, what);
}

export function notAFile(path: string): LlmctlError {
  return new LlmctlError("not-a-file", "the path is not a regular file", {
    exit: "io",
    at: path,
    fix: "remove it",
  });
}

export function foreignFile(path: string, uid: number, what = "file"): LlmctlError {
  return new LlmctlError("foreign-file", `the ${what} belongs to another user: ${describeUser(uid)}`, {
    exit: "permission",
    at: path,
    fix: "run llmctl as that user, or remove the file",
  });
}

function linkedFile(path: string, what: string): LlmctlError {
  return new LlmctlError(
    "linked-file",
    `the ${what} has a second hard link, and writing to it would change that file, too`,
    {
      exit: "permission",
      at: path,
      fix: "find its other name (find / -xdev -samefile FILE), then remove this one",
    },
  );
}
