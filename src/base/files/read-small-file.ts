import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { foreignFile, noFollowFlags } from "./own-file.ts";

/** A state file or the note in a lock has some kilobytes; llmctl did not write a larger file. */
const standardBytes = 1 << 20;

interface SmallFileOptions {
  /** User id of the owner that the file must have; the calling user by default. */
  readonly owner?: number | "anyone" | undefined;
  /** The largest size that is read, in bytes. */
  readonly most?: number;
  /** What an error calls the file, such as `lock file`. */
  readonly what?: string;
  /** Follow a symbolic link, for files that users manage themselves. */
  readonly follow?: boolean;
}

/**
 * Reads a small file of this user from a folder where something else may have been placed since: a named pipe would
 * block the reader for ever, a huge file would fill its memory, and a link would lead it to another file. A file of
 * another user is refused, so its content decides nothing.
 * @returns undefined for what is not a regular file, and for a file that is too large.
 * @throws LlmctlError `foreign-file` (77); the system's error.
 */
export function readSmallFile(
  path: string,
  {
    owner = process.getuid?.() ?? "anyone",
    most = standardBytes,
    what = "file",
    follow = false,
  }: SmallFileOptions = {},
): string | undefined {
  const fd = openSync(path, constants.O_RDONLY | (follow ? constants.O_NONBLOCK : noFollowFlags));
  try {
    const info = fstatSync(fd);
    if (owner !== "anyone" && info.uid !== owner) throw foreignFile(path, info.uid, what);
    return info.isFile() && info.size <= most ? readFileSync(fd, "utf8") : undefined;
  } finally {
    closeSync(fd);
  }
}
