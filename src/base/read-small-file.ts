import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { foreignFile, noTricks } from "./own-file.ts";

/** A state or a lock's note is some kilobytes. What is larger is none of ours. */
const mostBytes = 1 << 20;

/**
 * Text of a small file of ours, in a folder where anything may have been put since: a pipe would keep a reader waiting for ever, a huge file would
 * fill its memory, and a link would lead it elsewhere. What another user has written decides nothing.
 * @param owner Whose file it must be; ours unless told.
 * @param most Bytes.
 * @returns undefined where it is no file, or too large.
 * @throws LlmctlError `foreign-file` (77); the system's error.
 */
export function readSmallFile(path: string, owner = process.getuid?.(), most = mostBytes): string | undefined {
  const fd = openSync(path, constants.O_RDONLY | noTricks);
  try {
    const info = fstatSync(fd);
    if (owner !== undefined && info.uid !== owner) throw foreignFile(path, info.uid);
    return info.isFile() && info.size <= most ? readFileSync(fd, "utf8") : undefined;
  } finally {
    closeSync(fd);
  }
}
