import { once } from "node:events";
import { watch, type Stats } from "node:fs";
import { open, stat, type FileHandle } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { systemErrorCode } from "../base/errors.ts";

/** Looked at even where no change was reported: a watch may miss a rotation. */
const lookEveryMs = 1000;
/** A rotation takes some milliseconds from the truncation to the new name of what was there. */
const rotationMs = 10;
/** One that has not gone on for so long was cut short: its supervisor is dead. */
const longestRotationMs = 5000;
const chunkBytes = 64 * 1024;
/** A line longer than this is given in parts. */
const longestLine = 64 * 1024;

/** Where a log ended at some time. It may have been rotated since. */
export interface LogEnd {
  /** Bytes of the file that was the present one. */
  readonly size: number;
  /** Which file was `.1` then, see {@link identify}. */
  readonly newestRotated: string | undefined;
}

/** @returns undefined when there is no log. */
export async function findLogEnd(path: string): Promise<LogEnd | undefined> {
  for (;;) {
    const newestRotated = identify(await statOrNone(`${path}.1`));
    const size = (await statOrNone(path))?.size;
    if (size === undefined) return undefined;
    if (await isStill(path, newestRotated)) return { size, newestRotated };
    await sleep(rotationMs);
  }
}

/**
 * Yields the lines that are added to a log from an end of it on, until the signal is aborted. A file that was rotated (its content is
 * then in `.1`, see `ServerLog`) is first read to its end there; one that was truncated is read from its start.
 */
export async function* followLog(path: string, from: LogEnd, signal: AbortSignal): AsyncGenerator<string> {
  const cutter = new LineCutter();
  const watcher = watch(path, { signal });
  watcher.on("error", () => watcher.close()); // the timer goes on looking
  let { size: offset, newestRotated } = from;
  while (!signal.aborted) {
    const rotated = await openRotatedAfter(path, newestRotated);
    if (rotated !== undefined) {
      for await (const bytes of readFrom(rotated.file, offset)) yield* cutter.cut(bytes);
      offset = 0;
      newestRotated = rotated.identity;
      continue;
    }
    const bytes = await readPiece(path, offset);
    const size = (await statOrNone(path))?.size ?? 0;
    // What was read may be of the file that came after the one that the offset is of.
    if (!(await isStill(path, newestRotated))) await sleep(rotationMs);
    else if (bytes.length > 0) {
      offset += bytes.length;
      yield* cutter.cut(bytes);
    } else if (size < offset) offset = 0;
    else await changeOrTimeout(watcher, signal);
  }
}

/** Tells a rotated file from others under each of its names; an inode alone may be given to another file when it is removed. */
function identify(info: Stats | undefined): string | undefined {
  return info === undefined ? undefined : `${info.ino} ${info.mtimeMs}`;
}

/** Whether nothing has been rotated since this file was `.1`, and nothing is just now. */
async function isStill(path: string, newestRotated: string | undefined): Promise<boolean> {
  const rotating = await statOrNone(`${path}.rotating`); // before it is named `.1`, so that a rotation is seen here or there
  if (rotating !== undefined && Date.now() - rotating.mtimeMs < longestRotationMs) return false;
  return identify(await statOrNone(`${path}.1`)) === newestRotated;
}

/** The oldest file that was rotated since this one was `.1`; undefined when there is none, or files are just being renamed. The reader closes it. */
async function openRotatedAfter(
  path: string,
  newestRotated: string | undefined,
): Promise<{ file: FileHandle; identity: string } | undefined> {
  const identities: string[] = [];
  for (;;) {
    const identity = identify(await statOrNone(`${path}.${identities.length + 1}`));
    if (identity === undefined || identity === newestRotated) break;
    identities.push(identity);
  }
  const oldest = identities.at(-1);
  if (oldest === undefined || !(await isStill(path, identities[0]))) return undefined;
  const file = await open(`${path}.${identities.length}`, "r");
  if (identify(await file.stat()) === oldest) return { file, identity: oldest };
  await file.close();
  return undefined;
}

/** Cuts lines as bytes, so that a character cut by a read is whole again. */
export class LineCutter {
  #partial = "";

  *cut(bytes: Buffer): Generator<string> {
    const lines = (this.#partial + bytes.toString("latin1")).split("\n");
    this.#partial = lines.pop() ?? "";
    if (this.#partial.length > longestLine) {
      lines.push(this.#partial);
      this.#partial = "";
    }
    for (const line of lines) yield Buffer.from(line, "latin1").toString("utf8");
  }
}

/** A file's bytes from an offset to its end, piece by piece; closes it. */
export async function* readFrom(file: FileHandle, offset: number): AsyncGenerator<Buffer> {
  try {
    for (let at = offset; ;) {
      const bytes = await readAt(file, at);
      if (bytes.length === 0) return;
      at += bytes.length;
      yield bytes;
    }
  } finally {
    await file.close();
  }
}

async function readPiece(path: string, offset: number): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    return await readAt(file, offset);
  } finally {
    await file.close();
  }
}

async function readAt(file: FileHandle, offset: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(chunkBytes), 0, chunkBytes, offset);
  return buffer.subarray(0, bytesRead);
}

async function changeOrTimeout(watcher: NodeJS.EventEmitter, signal: AbortSignal): Promise<void> {
  const either = new AbortController();
  const options = { signal: AbortSignal.any([signal, either.signal]) };
  await Promise.race([once(watcher, "change", options), sleep(lookEveryMs, undefined, options)]).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
  either.abort();
}

/** @returns undefined when there is no such file. */
export async function statOrNone(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT" || systemErrorCode(error) === "ENOTDIR") return undefined;
    throw error;
  }
}
