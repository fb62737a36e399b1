import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";

/** A state or a lock's note is some kilobytes. What is larger is none of ours. */
const standardBytes = 1 << 20;

interface ReadOptions {
  readonly mostBytes?: number;
  /** For a file of the user's own, who may have put a link there. */
  readonly follow?: boolean;
}

/**
 * Text of a small file of ours, in a folder where anything may have been put since: a pipe would keep a reader waiting for ever, a huge file would
 * fill its memory, and a link would lead it elsewhere.
 * @returns undefined where it is no file, or too large.
 * @throws the system's error.
 */
export function readSmallFile(path: string, { mostBytes = standardBytes, follow = false }: ReadOptions = {}): string | undefined {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | (follow ? 0 : constants.O_NOFOLLOW));
  try {
    const info = fstatSync(fd);
    return info.isFile() && info.size <= mostBytes ? readFileSync(fd, "utf8") : undefined;
  } finally {
    closeSync(fd);
  }
}
