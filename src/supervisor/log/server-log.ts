import { closeSync, constants, fstatSync, openSync, readSync, statfsSync, writeSync } from "node:fs";
import { systemErrorCode } from "../../base/errors.ts";
import { isAt, openLogForAppending } from "./open-log-for-appending.ts";
import { LogMirror } from "./log-mirror.ts";
import { finishRotation, rotate } from "./log-rotation.ts";

const chunkBytes = 64 * 1024;
/** Cuts a huge line, which would become part of messages and of the state. */
const longestTailLine = 4096;
const runMarker = "--- llmctl: run ";

/** The line before each run in a server's log: `--- llmctl: run 3, 2026-11-24T10:18:58.321Z: COMMAND`. */
export function formatRunMarker(number: number, text: string): string {
  return `${runMarker}${number}, ${new Date().toISOString()}: ${text}`;
}

/** Start of a run from its marker, ISO 8601; undefined for any other line. */
export function parseRunMarker(line: string): string | undefined {
  const time = line.startsWith(runMarker)
    ? /^\d+, (\d{4}-\S{1,30}Z): /.exec(line.slice(runMarker.length))?.[1]
    : undefined;
  return time === undefined || Number.isNaN(Date.parse(time)) ? undefined : time;
}

/**
 * The server's output file. The server appends to it through its own O_APPEND descriptor, so a stalled or dead
 * supervisor can neither block it nor lose a line.
 */
export class ServerLog {
  readonly path: string;
  readonly #limits: { readonly maxBytes: number; readonly keep: number };
  #fd: number;
  #runStart = 0;
  #cutAt = 0;
  #marker: string | undefined;
  /** Size of the server's file when it was last seen at the path. */
  #seenBytes: number;
  /** The new file, while the server's file is not at the path. */
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

  /** Size of the file that the server writes. */
  get sizeBytes(): number {
    return fstatSync(this.#fd).size;
  }

  /** Whether the disk is (almost) full. The server is not stopped for that; lines that it writes meanwhile are lost. */
  get isDiskFull(): boolean {
    const free = readFreeBytes(this.#fd) ?? readFreeBytes(this.path);
    // Not 0: small files that come and go leave some blocks free for a moment.
    return free !== undefined && free < chunkBytes;
  }

  /**
   * Checks whether the log is still in its place. After it was moved, deleted or replaced, a new file is created that
   * gets a copy of the server's output; the server writes the old file until it ends, and this class reads that one.
   * @returns whether a new file was created. @throws the system's error when it cannot be; the next call tries again.
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
   * After the server's end: copies its last output to the log's place, where the next server will write.
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

  /** Marks the start of a run; {@link readRunTail} reads no further back. */
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
      // Even if a full disk took no marker: lines of an earlier run, such as its address, must not count for this run.
      this.#runStart = this.sizeBytes;
      if (this.#mirror === undefined) this.#seenBytes = this.#runStart;
    }
  }

  /**
   * Continues a run that an earlier supervisor has begun.
   * @param from Where {@link ServerLogReader} starts. The whole run is there only during a load, before any rotation.
   * @param pid The server, whose log may have been moved while no supervisor ran.
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

  /** The marker of a run that an earlier supervisor has begun, or a substitute if it was rotated away. */
  #readMarker(): string {
    const [line = ""] = this.read(this.#findRun()).toString("utf8").split("\n");
    return parseRunMarker(line) === undefined ? formatRunMarker(0, "a run whose beginning is not kept") : line;
  }

  /** Offset of the last run's marker. */
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

  /** Reads at most 64 KiB from an offset. */
  read(offset: number): Buffer {
    const buffer = Buffer.allocUnsafe(chunkBytes);
    return buffer.subarray(0, readSync(this.#fd, buffer, 0, chunkBytes, offset));
  }

  /** The last lines of the present run, from its last 64 KiB. */
  readRunTail(count: number): string[] {
    const { sizeBytes } = this;
    // A file shorter than the run's start was emptied by someone else.
    const start = this.#runStart > sizeBytes ? 0 : this.#runStart;
    const tail = this.read(Math.max(start, sizeBytes - chunkBytes));
    return tail
      .toString("utf8")
      .split("\n")
      .filter((line) => line.trim() !== "")
      .slice(-count)
      .map((line) => line.slice(0, longestTailLine));
  }

  /**
   * Offset at which the server continues after {@link rotateIfLarge}; not 0 for a moved file, which keeps its bytes.
   */
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

/** @returns undefined when there is no such file or we may not open it. */
function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDWR | constants.O_APPEND | constants.O_NONBLOCK);
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}

/**
 * Free bytes on the disk of a file, even of a deleted one by its descriptor; undefined when the system does not tell.
 */
function readFreeBytes(file: string | number): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(typeof file === "number" ? `/proc/self/fd/${file}` : file);
    return bavail * bsize;
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}
