import { once } from "node:events";
import { watch, type Stats } from "node:fs";
import { open, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { systemErrorCode } from "../base/errors.ts";

/** Looked at even where no change was reported: a watch may miss a rotation. */
const lookEveryMs = 1000;
/** A rotation takes some milliseconds from the truncation to the new name of what was there. */
const rotationMs = 10;
const chunkBytes = 64 * 1024;
/** A line longer than this is given in parts. */
const longestLine = 64 * 1024;

/**
 * Yields the lines that are added to a log, from an offset in bytes on, until the signal is aborted. A file that was rotated (its content is
 * then in `.1`, see `ServerLog`) is first read to its end there; one that was truncated is read from its start.
 */
export async function* followLog(path: string, from: number, signal: AbortSignal): AsyncGenerator<string> {
  const cutter = new LineCutter();
  const watcher = watch(path, { signal });
  watcher.on("error", () => watcher.close()); // the timer goes on looking
  let offset = from;
  let newestRotated = (await statOrNone(`${path}.1`))?.ino;
  while (!signal.aborted) {
    const rotated = await listRotatedSince(path, newestRotated);
    for (const file of rotated) {
      for await (const bytes of readFrom(file, offset)) yield* cutter.cut(bytes);
      offset = 0;
    }
    if (rotated.length > 0) newestRotated = (await statOrNone(`${path}.1`))?.ino;
    const size = (await statOrNone(path))?.size ?? 0;
    if (size < offset) {
      if ((await statOrNone(`${path}.rotating`)) === undefined && (await statOrNone(`${path}.1`))?.ino === newestRotated) offset = 0;
      else await sleep(rotationMs);
    } else if (size > offset) {
      for await (const bytes of readFrom(path, offset)) {
        offset += bytes.length;
        yield* cutter.cut(bytes);
      }
    } else {
      await changeOrTimeout(watcher, signal);
    }
  }
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

/** Files that came since the one with this inode was `.1`, oldest first. */
async function listRotatedSince(path: string, inode: number | undefined): Promise<readonly string[]> {
  const files: string[] = [];
  for (let n = 1; ; n += 1) {
    const file = `${path}.${n}`;
    const info = await statOrNone(file);
    if (info === undefined || info.ino === inode) return files;
    files.unshift(file);
  }
}

/** A file's bytes from an offset to its end, piece by piece. */
export async function* readFrom(path: string, offset: number): AsyncGenerator<Buffer> {
  const file = await open(path, "r");
  try {
    for (let at = offset; ;) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(chunkBytes), 0, chunkBytes, at);
      if (bytesRead === 0) return;
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
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
