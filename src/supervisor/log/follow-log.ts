import type { Stats } from "node:fs";
import { lstat, type FileHandle } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { systemErrorCode } from "../../base/errors.ts";
import { watchQuietly, type QuietWatch } from "../../base/files/watch-quietly.ts";
import { findContinuation, type LogPosition } from "./log-mirror.ts";
import { openLogForReading } from "./open-log-for-reading.ts";

/** Looked at even where no change was reported: a watch may miss a rotation, or not be possible. */
const lookEveryMs = 1000;
/** A rotation takes some milliseconds from the truncation to the new name of what was there. */
const rotationMs = 10;
/** One that has not gone on for so long was cut short: its supervisor is dead. */
const longestRotationMs = 5000;
const chunkBytes = 64 * 1024;
/** A line longer than this is given in parts. */
const longestLine = 64 * 1024;

/** Where a log ended at some time. It may have been rotated, moved or deleted since. */
export interface LogEnd {
  /** Bytes of the file that was the present one. */
  readonly size: number;
  /** That file, for {@link followLog} or {@link closeLogEnd}; undefined when there was none. */
  readonly present: OpenFile | undefined;
  /** Which file was `.1` then, see {@link identify}. */
  readonly newestRotated: string | undefined;
}

/** @returns undefined when there is no log. */
export async function findLogEnd(path: string): Promise<LogEnd | undefined> {
  for (;;) {
    const newestRotated = await findNewestRotated(path);
    const present = await openFile(path);
    if (present === undefined) return undefined;
    const { size } = await present.file.stat();
    if (await isStill(path, newestRotated)) return { size, present, newestRotated };
    await present.file.close();
    await sleep(rotationMs);
  }
}

export async function closeLogEnd({ present }: LogEnd): Promise<void> {
  await present?.file.close();
}

/** The end of a log that is still to come: all of it is new. */
export async function findComingLog(path: string): Promise<LogEnd> {
  return { size: 0, present: undefined, newestRotated: await findNewestRotated(path) };
}

/**
 * Yields the lines that are added to a log from an end of it on, until the signal is aborted. A file that was rotated
 * (its content is then in `.1`, see `rotate`) is first read to its end there; one that was truncated is read from its
 * start. Of one that was moved or deleted the rest is read, as its writer still has it open, then the file that is at
 * the path, without what that repeats (see `LogMirror`).
 */
export async function* followLog(path: string, from: LogEnd, signal: AbortSignal): AsyncGenerator<string> {
  const follower = new Follower(path, from);
  try {
    while (!signal.aborted) {
      const lines = await follower.step();
      if (lines === undefined) await follower.changeOrTimeout(signal);
      else yield* lines;
    }
  } finally {
    await follower.close();
  }
}

interface OpenFile {
  readonly file: FileHandle;
  readonly inode: number;
  readonly dev: number;
  /** See {@link birthOf}. */
  readonly birth: string;
}

class Follower {
  readonly #path: string;
  readonly #cutter = new LineCutter();
  readonly #repeats = new RepeatSkipper();
  /** Births of those that were at the path: one that was moved to a name of a rotated file is none. */
  readonly #own = new Set<string>();
  #present: OpenFile | undefined;
  #offset: number;
  #newestRotated: string | undefined;
  #changes: Changes;

  constructor(path: string, { size, present, newestRotated }: LogEnd) {
    this.#path = path;
    this.#offset = size;
    this.#newestRotated = newestRotated;
    this.#changes = new Changes(path);
    this.#present = present;
    if (present !== undefined) this.#own.add(present.birth);
  }

  /** @returns what has come, or undefined when it is time to wait. */
  async step(): Promise<Iterable<string> | AsyncIterable<string> | undefined> {
    const replacement = await this.#openReplacement();
    if (replacement !== undefined) return this.#moveTo(replacement);
    const rotated = await openRotatedAfter(this.#path, this.#newestRotated, this.#own);
    if (rotated !== undefined) return this.#readRotated(rotated);
    const { bytes, size } = await this.#readPresent();
    // What was read may be of the file that came after the one that the offset is of.
    if (!(await isStill(this.#path, this.#newestRotated, this.#own))) return this.#waitForRotation();
    if (bytes.length > 0) {
      this.#offset += bytes.length;
      return this.#cutter.cut(this.#repeats.pass(bytes));
    }
    if (size >= this.#offset) return undefined;
    this.#offset = 0;
    return [];
  }

  changeOrTimeout(signal: AbortSignal): Promise<void> {
    return this.#changes.wait(signal);
  }

  async close(): Promise<void> {
    this.#changes.close();
    await this.#present?.file.close();
  }

  /**
   * A file at the path that is not the one that is read; undefined while nothing is in it. Once something is, whoever
   * writes the old one brings all that comes there to the new one.
   */
  async #openReplacement(): Promise<OpenFile | undefined> {
    const info = await findFile(this.#path);
    // While it is open nobody else is given its inode.
    if (info === undefined || (info.ino === this.#present?.inode && info.dev === this.#present.dev)) return undefined;
    const isRotated = (await findNewestRotated(this.#path, this.#own)) !== this.#newestRotated;
    if (this.#present !== undefined) {
      if (info.size === 0 && !isRotated) return undefined;
      // It was rotated before it was moved.
      if (isRotated && (await this.#present.file.stat()).size < this.#offset) return undefined;
    }
    return openFile(this.#path);
  }

  async *#moveTo(next: OpenFile): AsyncGenerator<string> {
    const before = this.#present;
    if (before !== undefined) {
      for await (const bytes of readFrom(before.file, this.#offset)) {
        this.#offset += bytes.length;
        yield* this.#cutter.cut(this.#repeats.pass(bytes));
      }
      yield* this.#cutter.rest();
    }
    if (before !== undefined) this.#repeats.expect({ inode: before.inode, byte: this.#offset });
    // One that was moved back has nothing new but what comes.
    this.#offset = this.#own.has(next.birth) ? (await next.file.stat()).size : 0;
    this.#own.add(next.birth);
    this.#present = next;
    this.#changes.close();
    this.#changes = new Changes(this.#path);
  }

  async *#readRotated({
    file,
    identity,
  }: {
    readonly file: FileHandle;
    readonly identity: string;
  }): AsyncGenerator<string> {
    for await (const bytes of readFrom(file, this.#offset)) yield* this.#cutter.cut(this.#repeats.pass(bytes));
    this.#offset = 0;
    this.#newestRotated = identity;
  }

  async #readPresent(): Promise<{ readonly bytes: Buffer; readonly size: number }> {
    if (this.#present === undefined) return { bytes: Buffer.alloc(0), size: this.#offset };
    const { file } = this.#present;
    return { bytes: await readAt(file, this.#offset), size: (await file.stat()).size };
  }

  async #waitForRotation(): Promise<Iterable<string>> {
    if (await areRotatedGone(this.#path)) this.#newestRotated = await findNewestRotated(this.#path, this.#own);
    else await sleep(rotationMs);
    return [];
  }
}

/** Leaves out of a new file what it repeats of those before. */
class RepeatSkipper {
  /** How far files were read from which the next may go on, by their inodes. */
  #read = new Map<number, number>();
  #isAwaiting = false;
  #left = 0;

  /** The next file begins. What the one before it did not repeat any more, it may. */
  expect({ inode, byte }: LogPosition): void {
    this.#read.set(inode, byte + this.#left);
    this.#isAwaiting = true;
    this.#left = 0;
  }

  pass(bytes: Buffer): Buffer {
    const skipped = Math.min(this.#left, bytes.length);
    this.#left -= skipped;
    const rest = bytes.subarray(skipped);
    const goesOn = this.#isAwaiting ? findContinuation(rest.toString("latin1")) : undefined;
    if (goesOn === undefined) return rest;
    // Files of which nothing is known were not seen: rather twice than not at all.
    const known = goesOn.places.map(({ inode, byte }) => ({ inode, from: byte, read: this.#read.get(inode) ?? 0 }));
    this.#left = Math.max(0, ...known.map(({ from, read }) => read - from));
    this.#read = new Map(known.map(({ inode, read }) => [inode, read]));
    this.#isAwaiting = false;
    return Buffer.concat([rest.subarray(0, goesOn.end), this.pass(rest.subarray(goesOn.end))]);
  }
}

/** Waits for a change of a file, which may have come before. */
class Changes {
  readonly #watch: QuietWatch;
  #hasChanged = false;
  #wake: () => void = () => undefined;

  constructor(path: string) {
    this.#watch = watchQuietly(path, () => {
      this.#hasChanged = true;
      this.#wake();
    });
  }

  async wait(signal: AbortSignal): Promise<void> {
    if (!this.#hasChanged) {
      const over = new AbortController();
      this.#wake = () => over.abort();
      // aborted
      await sleep(lookEveryMs, undefined, { signal: AbortSignal.any([signal, over.signal]) }).catch(() => undefined);
    }
    this.#hasChanged = false;
  }

  close(): void {
    this.#watch.close();
    this.#wake();
  }
}

/** Tells a file from a later one that was given its inode, where the disk keeps that time. */
function birthOf({ dev, ino, birthtimeMs }: Stats): string {
  return `${dev} ${ino} ${birthtimeMs}`;
}

/**
 * Tells a rotated file from others under each of its names; an inode alone may be given to another file when it is
 * removed.
 */
function identify(info: Stats | undefined): string | undefined {
  return info === undefined ? undefined : `${info.ino} ${info.mtimeMs}`;
}

/** The rotated file with the lowest number. @param own Files that are none, whatever they are called now. */
async function findNewestRotated(path: string, own: ReadonlySet<string> = new Set()): Promise<string | undefined> {
  for (let n = 1; ; n += 1) {
    const info = await statOrNone(`${path}.${n}`);
    if (info === undefined || !own.has(birthOf(info))) return identify(info);
  }
}

/** Whether nothing has been rotated since this file was `.1`, and nothing is just now. */
async function isStill(path: string, newestRotated: string | undefined, own?: ReadonlySet<string>): Promise<boolean> {
  // before it is named `.1`, so that a rotation is seen here or there
  const rotating = await statOrNone(`${path}.rotating`);
  if (rotating !== undefined && Date.now() - rotating.mtimeMs < longestRotationMs) return false;
  return (await findNewestRotated(path, own)) === newestRotated;
}

/** Whether somebody has deleted the rotated files. While files are being renamed, one of these is there. */
async function areRotatedGone(path: string): Promise<boolean> {
  for (const suffix of ["1", "rotating", "1"]) if ((await statOrNone(`${path}.${suffix}`)) !== undefined) return false;
  return true;
}

/**
 * The oldest file that was rotated since this one was `.1`; undefined when there is none, or files are just being
 * renamed. The reader closes it.
 */
async function openRotatedAfter(
  path: string,
  newestRotated: string | undefined,
  own: ReadonlySet<string>,
): Promise<{ file: FileHandle; identity: string } | undefined> {
  let newest: string | undefined;
  let oldest: { readonly name: string; readonly identity: string } | undefined;
  for (let n = 1; ; n += 1) {
    const name = `${path}.${n}`;
    const info = await statOrNone(name);
    const identity = identify(info);
    if (info === undefined || identity === undefined || identity === newestRotated) break;
    if (own.has(birthOf(info))) continue;
    newest ??= identity;
    oldest = { name, identity };
  }
  if (oldest === undefined || !(await isStill(path, newest, own))) return undefined;
  const file = await openLogForReading(oldest.name);
  if (file === undefined) return undefined;
  if (identify(await file.stat()) === oldest.identity) return { file, identity: oldest.identity };
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

  /** A line without an end, which will not come any more. */
  *rest(): Generator<string> {
    const line = this.#partial;
    this.#partial = "";
    if (line !== "") yield Buffer.from(line, "latin1").toString("utf8");
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

async function readAt(file: FileHandle, offset: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(chunkBytes), 0, chunkBytes, offset);
  return buffer.subarray(0, bytesRead);
}

/** @returns undefined when there is none, or something that is not a file is in its place. */
async function findFile(path: string): Promise<Stats | undefined> {
  const info = await statOrNone(path);
  return info?.isFile() === true ? info : undefined;
}

/** @returns undefined when there is none. */
async function openFile(path: string): Promise<OpenFile | undefined> {
  const file = (await findFile(path)) === undefined ? undefined : await openLogForReading(path);
  if (file === undefined) return undefined;
  const info = await file.stat();
  return { file, inode: info.ino, dev: info.dev, birth: birthOf(info) };
}

/** @returns undefined when there is no such file. */
export async function statOrNone(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT" || systemErrorCode(error) === "ENOTDIR") return undefined;
    throw error;
  }
}
