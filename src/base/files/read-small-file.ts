import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { foreignFile, noFollowFlags } from "./own-file.ts";

/** A state or a lock's note is some kilobytes. What is larger is none of ours. */
const standardBytes = 1 << 20;

interface SmallFileOptions {
  /** Whose file it must be; ours unless told. */
  readonly owner?: number | "anyone" | undefined;
  /** Bytes. */
  readonly most?: number;
  /** Such as `lock file`, for people. */
  readonly what?: string;
  /** For a file of the user's own, who may have put a link there. */
  readonly follow?: boolean;
}

/**
 * Text of a small file of ours, in a folder where anything may have been put since: a pipe would keep a reader waiting
 * for ever, a huge file would fill its memory, and a link would lead it elsewhere. What another user has written
 * decides nothing.
 * @returns undefined where it is no file, or too large.
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
