import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";

const chunkBytes = 64 * 1024;
const runMarker = "--- llmctl: run ";

/** The line before each run in a server's log: `--- llmctl: run 3, 2026-11-24T10:18:58.321Z: what is run`. */
export function formatRunMarker(number: number, text: string): string {
  return `${runMarker}${number}, ${new Date().toISOString()}: ${text}`;
}

/** When a run began, by its marker, ISO 8601; undefined for any other line. */
export function parseRunMarker(line: string): string | undefined {
  return line.startsWith(runMarker) ? /^\d+, (\S+Z): /.exec(line.slice(runMarker.length))?.[1] : undefined;
}

/**
 * The server's output: a file that the server itself appends to, through a descriptor opened with O_APPEND, so that neither a stalled nor a
 * dead supervisor can block it or lose a line.
 */
export class ServerLog {
  readonly path: string;
  /** For the child's stdout and stderr. */
  readonly fd: number;
  readonly #limits: { readonly maxBytes: number; readonly keep: number };
  #runStart = 0;

  /** @throws the system's error. */
  constructor(path: string, limits: { readonly maxBytes: number; readonly keep: number }) {
    this.path = path;
    this.#limits = limits;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // A rotation that was cut short: its content may stand nowhere else.
    if (limits.keep > 0 && existsSync(this.#rotating)) this.#shift();
    this.fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW, 0o600);
  }

  /** Bytes in the present file. */
  get sizeBytes(): number {
    return fstatSync(this.fd).size;
  }

  /** Whether the disk takes no more of it, or hardly. The server is not told to stop: what it writes meanwhile is lost. */
  get isDiskFull(): boolean {
    const { bavail, bsize } = statfsSync(this.path);
    // Small files that are written and removed again leave some blocks free for a moment.
    return bavail * bsize < chunkBytes;
  }

  /** Marks the start of a run; {@link readRunTail} and {@link read} look no further back. */
  markRun(line: string): void {
    try {
      this.rotateIfLarge();
      writeSync(this.fd, `${line}\n`);
    } finally {
      // What an earlier run has said, such as where it listened, is not of this one, also where a full disk took no mark.
      this.#runStart = this.sizeBytes;
    }
  }

  /**
   * Goes on with a run that an earlier supervisor has begun.
   * @param from What {@link LogFollower} shall read of it. All is only there while it loads, as nothing is rotated until then.
   */
  resumeRun(from: "all" | "what comes"): void {
    this.#runStart = from === "all" ? this.#findRun() : this.sizeBytes;
  }

  /** Where the last run begins, after its marker. */
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
    return buffer.subarray(0, readSync(this.fd, buffer, 0, chunkBytes, offset));
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
      .slice(-count);
  }

  /**
   * Moves a large file's content to `.1`, and `.1` to `.2` …, by copy and truncate: the server keeps its descriptor. What it writes between
   * the last copied byte and the truncation, some microseconds, is lost. `.1` appears only when the file has been truncated, so that a reader
   * who sees it knows to start the file anew.
   * @returns whether it rotated.
   */
  rotateIfLarge(): boolean {
    if (this.sizeBytes <= this.#limits.maxBytes) return false;
    const keeps = this.#limits.keep > 0;
    if (keeps) this.#copyTo(this.#rotating);
    ftruncateSync(this.fd, 0);
    this.#runStart = 0;
    if (keeps) this.#shift();
    return true;
  }

  get #rotating(): string {
    return `${this.path}.rotating`;
  }

  #shift(): void {
    const { keep } = this.#limits;
    rmSync(`${this.path}.${keep}`, { force: true });
    for (let n = keep - 1; n >= 1; n -= 1) renameIfThere(`${this.path}.${n}`, `${this.path}.${n + 1}`);
    renameSync(this.#rotating, `${this.path}.1`);
  }

  close(): void {
    closeSync(this.fd);
  }

  #copyTo(path: string): void {
    copyFileSync(this.path, path);
    const copy = openSync(path, "a");
    try {
      let offset = fstatSync(copy).size;
      // A server that writes faster than we copy must not keep us here: past 16 MiB its newest lines are dropped.
      for (let chunks = 0; chunks < 256 && offset < this.sizeBytes; chunks += 1) offset += writeSync(copy, this.read(offset));
    } finally {
      closeSync(copy);
    }
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
