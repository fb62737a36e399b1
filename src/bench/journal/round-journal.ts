import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { syncFolder } from "../../base/files/atomic-write.ts";
import { type FileOperations, nodeFiles } from "../../base/files/file-operations.ts";
import { expectPlainFile, foreignFile, noFollowFlags, notAFile } from "../../base/files/own-file.ts";
import { isOwn } from "../../base/files/own-folder.ts";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { type Flock, type Lock, runFlock, stateUnwritable, takeLock } from "../../supervisor/state/file-lock.ts";
import { makeLockRecord, readLockRecord } from "../../supervisor/state/lock-record.ts";
import type { Round } from "../measurement.ts";
import { isReadable, type JournalEntry, readJournalLines, writeLine } from "./journal-lines.ts";
import { pruneJournals } from "./prune-journals.ts";

/** Most bytes of one journal: hours of rounds have some hundred kB, and the traces of a tune some MB. */
const mostBytes = 64 << 20;

export interface JournalOptions {
  /** `paths.data`. */
  readonly data: string;
  /** From `journalKey`. */
  readonly key: string;
  /** Named to a second process that wants the same journal. */
  readonly profile: string;
  readonly files?: FileOperations;
  readonly flock?: Flock;
  /** For tests: {@link mostBytes}. */
  readonly limitBytes?: number;
  /** Milliseconds since 1970, for the age of other journals. */
  readonly now?: () => number;
}

/**
 * The rounds and the stage results of one bench or tune, kept line by line so that it goes on after a crash at any
 * byte. While it is open, no other process can open it. The files are `bench/KEY.jsonl` and `bench/KEY.lock`.
 */
export class RoundJournal implements AsyncDisposable {
  readonly path: string;
  readonly #file: FileHandle;
  readonly #lock: Lock;
  readonly #limitBytes: number;
  readonly #rounds: Round[];
  readonly #values: Map<string, unknown>;
  /** Behind the last whole line. A line that failed half written is overwritten by the next one. */
  #end: number;
  /** The last line, or the one being written: lines are written one after the other. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(opened: Opened) {
    this.path = opened.path;
    this.#file = opened.file;
    this.#lock = opened.lock;
    this.#limitBytes = opened.limitBytes;
    this.#rounds = [...opened.rounds];
    this.#values = new Map(opened.values);
    this.#end = opened.end;
  }

  /**
   * Opens the journal of a key, and makes it where there is none. Old journals of other keys are removed.
   * @throws LlmctlError `bench-running` when another process has it open, `bench-journal-full` for a file that is too
   *   large; `foreign-file`, `foreign-folder`, `state-unwritable`, `tool-missing`.
   */
  static async open(options: JournalOptions): Promise<RoundJournal> {
    const { data, key, files = nodeFiles, flock = runFlock, limitBytes = mostBytes, now = Date.now } = options;
    const path = join(data, "bench", `${key}.jsonl`);
    const lock = lockJournal(path, options.profile, flock);
    let file: FileHandle | undefined;
    try {
      file = await openFile(path, files);
      const opened = await readWhole(path, file, limitBytes);
      pruneJournals({ inUse: path, now: now(), flock });
      return new RoundJournal({ ...opened, path, file, lock, limitBytes });
    } catch (error) {
      await file?.close();
      lock.release();
      throw systemErrorCode(error) === undefined ? error : stateUnwritable(path, error);
    }
  }

  /** All whole rounds, in the order in which they were added. */
  get rounds(): readonly Round[] {
    return this.#rounds;
  }

  /**
   * Keeps a round: when this returns, it is on the disk.
   * @throws LlmctlError `state-unwritable` on a full disk and such, `bench-journal-full`. What was kept before stays,
   *   and a later call may succeed.
   */
  async add(round: Round): Promise<void> {
    await this.#append({ round });
    this.#rounds.push(round);
  }

  /** Keeps the result of a stage under its name, in place of an earlier one. JSON alone. @throws as {@link add}. */
  async put(name: string, value: unknown): Promise<void> {
    await this.#append({ name, value });
    this.#values.set(name, value);
  }

  /** @param isOurs Checks the shape; a value of another shape is as good as none. */
  get<T>(name: string, isOurs: (value: unknown) => value is T): T | undefined {
    const value = this.#values.get(name);
    return isOurs(value) ? value : undefined;
  }

  /** Forgets everything that was kept. @throws LlmctlError `state-unwritable`. */
  async clear(): Promise<void> {
    await this.#writing;
    try {
      await this.#file.truncate(0);
      await this.#file.sync();
    } catch (error) {
      if (systemErrorCode(error) === undefined) throw error;
      throw stateUnwritable(this.path, error);
    }
    this.#end = 0;
    this.#rounds.length = 0;
    this.#values.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
    await this.#file.close();
    this.#lock.release();
  }

  async #append(entry: JournalEntry): Promise<void> {
    const line = writeLine(entry);
    const written = this.#writing.then(() => this.#write(Buffer.from(line), isReadable(line)));
    // The caller gets the error; the next line is written all the same.
    this.#writing = written.catch(() => {});
    await written;
  }

  async #write(bytes: Buffer, readable: boolean): Promise<void> {
    if (!readable || this.#end + bytes.length > this.#limitBytes) throw journalFull(this.path, this.#limitBytes);
    try {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.#end + done);
        done += bytesWritten;
      }
      await this.#file.sync();
    } catch (error) {
      await this.#cut();
      throw stateUnwritable(this.path, error);
    }
    this.#end += bytes.length;
  }

  /** Removes half a line. Where that fails, too, the next line overwrites it, or the next reader cuts it off. */
  async #cut(): Promise<void> {
    try {
      await this.#file.truncate(this.#end);
    } catch (error) {
      if (systemErrorCode(error) === undefined) throw error;
    }
  }
}

type Opened = ReturnType<typeof readJournalLines> & {
  readonly path: string;
  readonly file: FileHandle;
  readonly lock: Lock;
  readonly limitBytes: number;
};

function lockJournal(path: string, profile: string, flock: Flock): Lock {
  const lockPath = path.replace(/\.jsonl$/, ".lock");
  const lock = takeLock(lockPath, makeLockRecord(profile), flock);
  if (lock !== undefined) return lock;
  const record = readLockRecord(lockPath);
  const holder = record === undefined || record === "released" ? "not known" : String(record.holder.pid);
  throw new LlmctlError("bench-running", `the same measurement of "${profile}" runs already: pid ${holder}`, {
    exit: "busy",
    at: path,
    fix: "wait for it, or end that process; what it has measured is kept",
  });
}

async function openFile(path: string, files: FileOperations): Promise<FileHandle> {
  const file = await files.open(path, constants.O_RDWR | constants.O_CREAT | noFollowFlags, 0o600);
  try {
    const info = await file.stat();
    if (!info.isFile()) throw notAFile(path);
    if (!isOwn(info)) throw foreignFile(path, info.uid, "journal");
    expectPlainFile(path, info, "journal");
    // A new file keeps its name after a power failure.
    await syncFolder(dirname(path), files);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Reads a journal and cuts off what is not whole. */
async function readWhole(path: string, file: FileHandle, limitBytes: number) {
  const { size } = await file.stat();
  if (size > limitBytes) throw journalFull(path, limitBytes);
  const bytes = Buffer.alloc(size);
  const { bytesRead } = await file.read(bytes, 0, size, 0);
  const content = readJournalLines(bytes.subarray(0, bytesRead));
  if (content.end < size) await file.truncate(content.end);
  return content;
}

function journalFull(path: string, limitBytes: number): LlmctlError {
  return new LlmctlError("bench-journal-full", `the journal of this measurement would exceed ${limitBytes >> 20} MiB`, {
    exit: "failed",
    at: path,
    fix: "remove that file to measure anew",
  });
}
