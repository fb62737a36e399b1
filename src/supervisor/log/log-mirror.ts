import { closeSync, fstatSync, ftruncateSync, readSync, writeSync } from "node:fs";
import { formatContinuation, type LogPosition } from "./log-continuation.ts";
import { appendAll, isAt, openLogForAppending } from "./open-log-for-appending.ts";
import { rotate } from "./log-rotation.ts";

const chunkBytes = 64 * 1024;
/** A server that writes without end must not keep us: what is more waits for the next look. */
const mostBytesALook = 16 << 20;

interface MirrorOptions {
  readonly path: string;
  /** The file that the server writes, which the path does not lead to any more. */
  readonly source: number;
  /** Where the copy begins: at what had come when the file was last seen in its place. */
  readonly from: number;
  /** The marker of the present run. */
  readonly marker: () => string;
}

/**
 * A server goes on writing into the file that it was started with when that file is moved or deleted, also with its
 * folder. So a new file is made at the log's path, and gets what comes. It begins with the run's marker, as the times
 * in the lines count from that.
 */
export class LogMirror {
  readonly #options: MirrorOptions;
  /** What had come when the file lost its place. Whoever moved it may want to keep it, so it is never cut. */
  readonly #keptBytes: number;
  /** The new file; undefined while none can be made. */
  #target: number | undefined;
  /** Of the source. */
  #copied: number;
  /** The end of the file that was at the path before, if that was one of ours. */
  #before: readonly LogPosition[] = [];

  constructor(options: MirrorOptions) {
    this.#options = options;
    this.#keptBytes = fstatSync(options.source).size;
    this.#copied = options.from;
  }

  /**
   * Makes a new file where there is none of ours, and copies what has come.
   * @returns whether it made one. @throws as {@link openLogForAppending}.
   */
  look(): boolean {
    const { path } = this.#options;
    const isNew = this.#target === undefined || !isAt(path, this.#target);
    if (isNew) this.#begin();
    this.#copy();
    return isNew;
  }

  /** Copies what is left; for a server that is gone. @returns the new file, which is the caller's from then on. */
  finish(): number | undefined {
    while (this.#copy());
    const target = this.#target;
    this.#target = undefined;
    return target;
  }

  close(): void {
    if (this.#target !== undefined) closeSync(this.#target);
    this.#target = undefined;
  }

  rotateIfLarge({ maxBytes, keep }: { readonly maxBytes: number; readonly keep: number }): void {
    const { path } = this.#options;
    if (this.#target !== undefined && fstatSync(this.#target).size > maxBytes) rotate({ path, fd: this.#target, keep });
  }

  /**
   * Keeps the old file from growing without end, as nobody else looks after it: cuts off what has been copied. As in a
   * rotation, what the server writes in the microseconds before that is lost. A file that is deleted is emptied.
   * @returns where it goes on; undefined when it was not cut.
   */
  cutIfLarge(maxBytes: number): number | undefined {
    const { source } = this.#options;
    const { size, nlink } = fstatSync(source);
    const kept = nlink === 0 ? 0 : this.#keptBytes;
    if (size - kept <= maxBytes) return undefined;
    this.#copy();
    const lost = fstatSync(source).size - this.#copied;
    ftruncateSync(source, kept);
    this.#copied = kept;
    if (lost > 0 && this.#target !== undefined)
      writeSync(this.#target, `\n--- llmctl: ${lost} bytes are missing here\n`);
    return kept;
  }

  #begin(): void {
    if (this.#target !== undefined) {
      const { ino: inode, size: byte } = fstatSync(this.#target);
      this.#before = [{ inode, byte }];
      this.close();
    }
    const fd = openLogForAppending(this.#options.path);
    try {
      const own = { inode: fstatSync(this.#options.source).ino, byte: this.#copied };
      appendAll(fd, Buffer.from(`${this.#options.marker()}\n${formatContinuation([own, ...this.#before])}\n`));
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    this.#target = fd;
  }

  /** @returns whether anything had come. */
  #copy(): boolean {
    const { source } = this.#options;
    const target = this.#target;
    if (target === undefined) return false;
    if (fstatSync(source).size < this.#copied) this.#copied = 0; // emptied by someone else
    const buffer = Buffer.allocUnsafe(chunkBytes);
    const start = this.#copied;
    while (this.#copied - start < mostBytesALook) {
      const length = readSync(source, buffer, 0, chunkBytes, this.#copied);
      if (length === 0) break;
      this.#copied += writeSync(target, buffer, 0, length);
    }
    return this.#copied > start;
  }
}
