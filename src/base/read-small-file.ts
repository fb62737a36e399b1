import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";

/** A state or a lock's note is some kilobytes. What is larger is none of ours. */
const mostBytes = 1 << 20;

/**
 * Text of a small file of ours, in a folder where anything may have been put since: a pipe would keep a reader waiting for ever, a huge file would
 * fill its memory, and a link would lead it elsewhere.
 * @returns undefined where it is no file, or too large.
 * @throws the system's error.
 */
export function readSmallFile(path: string): string | undefined {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const info = fstatSync(fd);
    return info.isFile() && info.size <= mostBytes ? readFileSync(fd, "utf8") : undefined;
  } finally {
    closeSync(fd);
  }
}
