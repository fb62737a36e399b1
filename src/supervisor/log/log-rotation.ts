import {
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { systemErrorCode } from "../../base/errors.ts";
import { openOwnFile } from "../../base/files/own-file.ts";
import { expectOwnFolder } from "../../base/files/own-folder.ts";

const chunkBytes = 64 * 1024;

interface Rotating {
  readonly path: string;
  /** Descriptor of the file at the path. */
  readonly fd: number;
  readonly keep: number;
}

/**
 * Moves a file's content to `.1`, and `.1` to `.2` …, by copy and truncate, since the server keeps its descriptor.
 * Bytes written in the microseconds between the last copy and the truncation are lost. `.1` appears only after the
 * truncation, so a reader that sees it reads the file from its start.
 */
export function rotate({ path, fd, keep }: Rotating): void {
  // Files are renamed and removed by name here: the folder must be ours.
  if (keep > 0) expectOwnFolder(dirname(path));
  if (keep > 0) copyTo(rotatingPath(path), { path, fd });
  ftruncateSync(fd, 0);
  if (keep > 0) shift(path, keep);
}

/** Finishes an interrupted rotation, whose content may exist nowhere else. */
export function finishRotation(path: string, keep: number): void {
  const info = keep > 0 ? lstatSync(rotatingPath(path), { throwIfNoEntry: false }) : undefined;
  if (info === undefined) return;
  expectOwnFolder(dirname(path));
  if (info.isFile()) shift(path, keep);
}

function rotatingPath(path: string): string {
  return `${path}.rotating`;
}

function shift(path: string, keep: number): void {
  rmSync(`${path}.${keep}`, { force: true });
  for (let n = keep - 1; n >= 1; n -= 1) renameIfThere(`${path}.${n}`, `${path}.${n + 1}`);
  renameSync(rotatingPath(path), `${path}.1`);
}

function copyTo(target: string, { path, fd }: Omit<Rotating, "keep">): void {
  // Removed and created, so that nothing is written into another file with that name.
  rmSync(target, { force: true });
  copyFileSync(process.platform === "linux" ? `/proc/self/fd/${fd}` : path, target, constants.COPYFILE_EXCL);
  const copy = openOwnFile(target, constants.O_WRONLY | constants.O_APPEND);
  try {
    let offset = fstatSync(copy).size;
    const buffer = Buffer.allocUnsafe(chunkBytes);
    // A server that writes faster than we copy must not keep us here: past 16 MiB its newest lines are dropped.
    for (let chunks = 0; chunks < 256; chunks += 1) {
      const length = readSync(fd, buffer, 0, chunkBytes, offset);
      if (length === 0) return;
      offset += writeSync(copy, buffer, 0, length);
    }
  } finally {
    closeSync(copy);
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
  }
}
