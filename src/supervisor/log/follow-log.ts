import type { FileHandle } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { watchQuietly, type QuietWatch } from "../../base/files/watch-quietly.ts";
import { RepeatSkipper } from "./log-continuation.ts";
import { LineCutter, readAt, readFrom } from "./log-lines.ts";
import {
  areRotatedGone,
  findFile,
  findNewestRotated,
  isStill,
  openFile,
  openRotatedAfter,
  type OpenFile,
} from "./find-rotated-log.ts";

/** Looked at even where no change was reported: a watch may miss a rotation, or not be possible. */
const lookEveryMs = 1000;
/** A rotation takes some milliseconds from the truncation to the new name of what was there. */
const rotationMs = 10;

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
