import { closeSync, constants, fstatSync, openSync, type Stats } from "node:fs";
import { LlmctlError } from "../errors.ts";
import { isOwn } from "./own-folder.ts";
import { describeUser } from "../describe-user.ts";

/**
 * A link is not followed. O_NONBLOCK is for a pipe in the file's place, which would keep us until somebody reads it; to
 * a file it means nothing.
 */
export const noFollowFlags = constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Opens a file of ours to write it: what the path led to when it was opened is ours, a file, and has no other name.
 * @param flags Beside those that follow no link.
 * @param what Such as `lock file`, for people.
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

/** As {@link openOwnFile}, for a file that may be another user's, as in a cache that several share. */
export function expectPlainFile(path: string, info: Stats, what = "file"): void {
  if (!info.isFile()) throw notAFile(path);
  // What is written here would be written there, too.
  if (info.nlink > 1) throw linkedFile(path, what);
}

export function notAFile(path: string): LlmctlError {
  return new LlmctlError("not-a-file", "what is in its place is not a file", {
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
    `the ${what} has another name elsewhere (a hard link), and what is written to it is written there`,
    {
      exit: "permission",
      at: path,
      fix: "look what it is (find / -xdev -samefile FILE), and remove this name of it",
    },
  );
}
