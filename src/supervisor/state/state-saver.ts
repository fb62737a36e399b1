import { lstat } from "node:fs/promises";
import type { FileOperations } from "../../base/files/file-operations.ts";
import { type LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { stateUnwritable } from "./file-lock.ts";
import { thisProcess } from "./lock-record.ts";
import { stateFilePath, writeFirstState, writeState, type StateRecord } from "./state-file.ts";
import type { Supervisor } from "../supervisor.ts";

interface SaverOptions {
  readonly stateDir: string;
  readonly supervisor: Pick<Supervisor, "status" | "warn" | "server" | "stopTimeoutMs">;
  /** Path of the control socket; empty while there is none. */
  readonly socketPath: () => string;
  readonly files?: FileOperations;
}

/** Keeps the state file up to date with one write at a time; of several changes meanwhile only the last is written. */
export class StateSaver {
  readonly #options: SaverOptions;
  #writing: Promise<void> | undefined;
  #again = false;
  /** Inode, size and time of the file as last written, to detect a change by somebody else. */
  #written = "";

  constructor(options: SaverOptions) {
    this.#options = options;
  }

  get #path(): string {
    const { stateDir, supervisor } = this.#options;
    return stateFilePath(stateDir, supervisor.status().name);
  }

  /** Proves that the state can be kept, before anything is started. @throws LlmctlError `state-unwritable`. */
  async saveFirst(): Promise<void> {
    try {
      await writeFirstState(this.#options.stateDir, this.#record(), this.#options.files);
      this.#written = await describeFile(this.#path);
    } catch (error) {
      throw this.#stateUnwritable(error);
    }
  }

  save(): void {
    // Deferred by a microtask: a write that fails synchronously would reset #writing before it is set here.
    if (this.#writing === undefined) this.#writing = Promise.resolve().then(() => this.#write());
    else this.#again = true;
  }

  /** Writes the file again if it is no longer as last written. */
  async restore(): Promise<void> {
    if (
      this.#writing === undefined &&
      (await describeFile(this.#path)) !== this.#written &&
      this.#writing === undefined
    )
      this.save();
    await this.#writing;
  }

  async settled(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    do {
      this.#again = false;
      try {
        await writeState(this.#options.stateDir, this.#record(), this.#options.files);
        this.#written = await describeFile(this.#path);
      } catch (error) {
        // The file is outdated: the next check writes it again, such as when the disk has room.
        this.#written = "";
        this.#options.supervisor.warn(this.#stateUnwritable(error).message);
      }
    } while (this.#again);
    this.#writing = undefined;
  }

  #record(): StateRecord {
    const { supervisor, socketPath } = this.#options;
    const { server, stopTimeoutMs } = supervisor;
    const socket = socketPath();
    return {
      status: supervisor.status(),
      supervisor: thisProcess,
      ...(socket === "" ? {} : { socket }),
      server,
      stopTimeoutMs,
    };
  }

  #stateUnwritable(error: unknown): LlmctlError {
    return stateUnwritable(this.#path, error);
  }
}

async function describeFile(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs } = await lstat(path);
    return `${ino} ${size} ${mtimeMs}`;
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return "none";
  }
}
