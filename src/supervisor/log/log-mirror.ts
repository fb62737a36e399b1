import { closeSync, fstatSync, ftruncateSync, readSync, writeSync } from "node:fs";
import { formatContinuation, type LogPosition } from "./log-continuation.ts";
import { appendAll, isAt, openLogForAppending } from "./open-log-for-appending.ts";
import { rotate } from "./log-rotation.ts";

const chunkBytes = 64 * 1024;
/** Most bytes copied at a time: a server that writes without end must not block us. */
const mostBytesALook = 16 << 20;

interface MirrorOptions {
  readonly path: string;
  /** The file that the server writes, which is no longer at the path. */
  readonly source: number;
  /** Offset at which the copy begins: the file's size when it was last seen in its place. */
  readonly from: number;
  /** The marker of the present run. */
  readonly marker: () => string;
}

/**
 * Continues a log that was moved or deleted: the server goes on writing into the old file, so a new file is created at
 * the log's path and gets a copy of everything new. It begins with the run's marker, from which the times in the lines
 * count.
 */
export class LogMirror {
  readonly #options: MirrorOptions;
  /** Size of the old file when it lost its place. These bytes are never cut: whoever moved the file may want them. */
  readonly #keptBytes: number;
  /** The new file; undefined while it cannot be created. */
  #target: number | undefined;
  /** Copied bytes of the source. */
  #copied: number;
  /** End of our previous new file, if that was moved or deleted as well. */
  #before: readonly LogPosition[] = [];

  constructor(options: MirrorOptions) {
    this.#options = options;
    this.#keptBytes = fstatSync(options.source).size;
    this.#copied = options.from;
  }

  /**
   * Creates the new file if it is not at the path, and copies the new bytes.
   * @returns whether a file was created. @throws as {@link openLogForAppending}.
   */
  look(): boolean {
    const { path } = this.#options;
    const isNew = this.#target === undefined || !isAt(path, this.#target);
    if (isNew) this.#begin();
    this.#copy();
    return isNew;
  }

  /** Copies the rest after the server's end. @returns the new file, which the caller then owns. */
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
   * Keeps the old file from growing without end: cuts off the copied bytes. As in a rotation, bytes that the server
   * writes in the microseconds before that are lost. A deleted file is emptied.
   * @returns the offset at which the server continues; undefined when nothing was cut.
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

  /** Copies what was appended since the last call. @returns whether it copied anything. */
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
