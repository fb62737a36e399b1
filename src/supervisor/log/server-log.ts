import { closeSync, constants, fstatSync, openSync, readSync, statfsSync, writeSync } from "node:fs";
import { systemErrorCode } from "../../base/errors.ts";
import { isAt, openLogForAppending } from "./open-log-for-appending.ts";
import { LogMirror } from "./log-mirror.ts";
import { finishRotation, rotate } from "./log-rotation.ts";

const chunkBytes = 64 * 1024;
/** Stops a line of 64 KiB, which would be part of messages, and of the state. */
const longestTailLine = 4096;
const runMarker = "--- llmctl: run ";

/** The line before each run in a server's log: `--- llmctl: run 3, 2026-11-24T10:18:58.321Z: what is run`. */
export function formatRunMarker(number: number, text: string): string {
  return `${runMarker}${number}, ${new Date().toISOString()}: ${text}`;
}

/** When a run began, by its marker, ISO 8601; undefined for any other line. */
export function parseRunMarker(line: string): string | undefined {
  const time = line.startsWith(runMarker)
    ? /^\d+, (\d{4}-\S{1,30}Z): /.exec(line.slice(runMarker.length))?.[1]
    : undefined;
  return time === undefined || Number.isNaN(Date.parse(time)) ? undefined : time;
}

/**
 * The server's output: a file that the server itself appends to, through a descriptor opened with O_APPEND, so that
 * neither a stalled nor a dead supervisor can block it or lose a line.
 */
export class ServerLog {
  readonly path: string;
  readonly #limits: { readonly maxBytes: number; readonly keep: number };
  #fd: number;
  #runStart = 0;
  #cutAt = 0;
  #marker: string | undefined;
  /** How much there was when the path was last seen to lead to the server's file. */
  #seenBytes: number;
  /** While it does not. */
  #mirror: LogMirror | undefined;

  /** @throws the system's error, LlmctlError `not-a-file`. */
  constructor(path: string, limits: { readonly maxBytes: number; readonly keep: number }) {
    this.path = path;
    this.#limits = limits;
    finishRotation(path, limits.keep);
    this.#fd = openLogForAppending(path);
    this.#seenBytes = this.sizeBytes;
  }

  /** For the child's stdout and stderr. */
  get fd(): number {
    return this.#fd;
  }

  /** Bytes in the file that the server writes. */
  get sizeBytes(): number {
    return fstatSync(this.#fd).size;
  }

  /**
   * Whether the disk takes no more of it, or hardly. The server is not told to stop: what it writes meanwhile is lost.
   */
  get isDiskFull(): boolean {
    const free = readFreeBytes(this.#fd) ?? readFreeBytes(this.path);
    // Small files that are written and removed again leave some blocks free for a moment.
    return free !== undefined && free < chunkBytes;
  }

  /**
   * Sees whether the log is still in its place. Where it was moved, deleted or replaced, a new one is made that gets
   * what the server writes, who keeps the old one until it ends. What is read here stays what the server writes.
   * @returns whether a new one was made. @throws the system's error when none can be; then every look tries again.
   */
  look(): boolean {
    if (isAt(this.path, this.#fd)) {
      this.#mirror?.close();
      this.#mirror = undefined;
      this.#seenBytes = this.sizeBytes;
      return false;
    }
    const from = this.#seenBytes > this.sizeBytes ? 0 : this.#seenBytes;
    this.#mirror ??= new LogMirror({
      path: this.path,
      source: this.#fd,
      from,
      marker: () => (this.#marker ??= this.#readMarker()),
    });
    return this.#mirror.look();
  }

  /**
   * The server is gone: what it wrote last is brought to the log's place, where the next one is to write.
   * @throws as {@link look}.
   */
  endRun(): void {
    this.look();
    const fd = this.#mirror?.finish();
    this.#mirror = undefined;
    if (fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = fd;
    this.#cutAt = 0;
    this.#runStart = this.#seenBytes = this.sizeBytes;
  }

  /** Marks the start of a run; {@link readRunTail} and {@link read} look no further back. */
  markRun(line: string): void {
    this.#marker = line;
    try {
      this.endRun();
      this.rotateIfLarge();
    } finally {
      this.#writeMarker(line);
    }
  }

  #writeMarker(line: string): void {
    try {
      writeSync(this.#fd, `${line}\n`);
    } finally {
      // What an earlier run has said, such as where it listened, is not of this one, also where a full disk took no
      // mark.
      this.#runStart = this.sizeBytes;
      if (this.#mirror === undefined) this.#seenBytes = this.#runStart;
    }
  }

  /**
   * Goes on with a run that an earlier supervisor has begun.
   * @param from What {@link ServerLogReader} shall read of it. All is only there while it loads, as nothing is rotated
   *   until then.
   * @param pid The server, whose log may have been moved while nobody looked.
   */
  resumeRun(from: "all" | "what comes", pid?: number): void {
    if (pid !== undefined) this.#openOutput(pid);
    this.#runStart = from === "all" ? this.#findRun() : this.sizeBytes;
  }

  #openOutput(pid: number): void {
    const output = openIfThere(`/proc/${pid}/fd/1`);
    if (output === undefined) return;
    const isOther = fstatSync(output).isFile() && !isAt(this.path, output);
    closeSync(isOther ? this.#fd : output);
    if (!isOther) return;
    this.#fd = output;
    this.#seenBytes = this.sizeBytes;
  }

  /** The marker of a run that an earlier supervisor has begun; where it was rotated away, one that says so. */
  #readMarker(): string {
    const [line = ""] = this.read(this.#findRun()).toString("utf8").split("\n");
    return parseRunMarker(line) === undefined ? formatRunMarker(0, "a run whose beginning is not kept") : line;
  }

  /** Where the last run begins, with its marker. */
  #findRun(): number {
    const overlap = runMarker.length;
    for (let end = this.sizeBytes; end > 0; end -= chunkBytes - overlap) {
      const from = Math.max(0, end - chunkBytes);
      const at = this.read(from)
        .subarray(0, end - from)
        .lastIndexOf(runMarker);
      if (at >= 0) return from + at;
    }
    return 0;
  }

  get runStart(): number {
    return this.#runStart;
  }

  /** At most 64 KiB from an offset on. */
  read(offset: number): Buffer {
    const buffer = Buffer.allocUnsafe(chunkBytes);
    return buffer.subarray(0, readSync(this.#fd, buffer, 0, chunkBytes, offset));
  }

  /** The last lines of the present run, from its last 64 KiB. */
  readRunTail(count: number): string[] {
    const { sizeBytes } = this;
    // A file that is shorter than where the run began was emptied by someone else.
    const start = this.#runStart > sizeBytes ? 0 : this.#runStart;
    const tail = this.read(Math.max(start, sizeBytes - chunkBytes));
    return tail
      .toString("utf8")
      .split("\n")
      .filter((line) => line.trim() !== "")
      .slice(-count)
      .map((line) => line.slice(0, longestTailLine));
  }

  /** Where the server goes on after {@link rotateIfLarge}: a file that was moved keeps what it had then. */
  get cutAt(): number {
    return this.#cutAt;
  }

  /**
   * Moves the content of a large log to rotated files.
   * @returns whether the file that the server writes was cut.
   */
  rotateIfLarge(): boolean {
    const { maxBytes, keep } = this.#limits;
    if (this.#mirror !== undefined) return this.#cutMoved(this.#mirror);
    if (this.sizeBytes <= maxBytes) return false;
    rotate({ path: this.path, fd: this.#fd, keep });
    this.#runStart = this.#cutAt = this.#seenBytes = 0;
    return true;
  }

  #cutMoved(mirror: LogMirror): boolean {
    mirror.rotateIfLarge(this.#limits);
    const cutAt = mirror.cutIfLarge(this.#limits.maxBytes);
    if (cutAt === undefined) return false;
    this.#cutAt = cutAt;
    this.#runStart = Math.min(this.#runStart, cutAt);
    return true;
  }

  close(): void {
    this.#mirror?.close();
    closeSync(this.#fd);
  }
}

/** @returns undefined when there is no such file, or it is not ours to open. */
function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDWR | constants.O_APPEND | constants.O_NONBLOCK);
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}

/** Free bytes on the disk of a file, also of an open one that was deleted; undefined where the system does not tell. */
function readFreeBytes(file: string | number): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(typeof file === "number" ? `/proc/self/fd/${file}` : file);
    return bavail * bsize;
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}
