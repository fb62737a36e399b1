import { lstat } from "node:fs/promises";
import { type LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { stateUnwritable } from "./file-lock.ts";
import { thisProcess } from "./lock-record.ts";
import { stateFilePath, writeFirstState, writeState, type StateRecord } from "./state-file.ts";
import type { Supervisor } from "../supervisor.ts";

/** Keeps the state file up to date, one write at a time; of several changes meanwhile the last is written. */
export class StateSaver {
  readonly #stateDir: string;
  readonly #supervisor: Supervisor;
  readonly #socketPath: () => string;
  #writing: Promise<void> | undefined;
  #again = false;
  /** The file as it was last written, to tell it from one that somebody else has changed. */
  #written = "";

  constructor(stateDir: string, supervisor: Supervisor, socketPath: () => string) {
    this.#stateDir = stateDir;
    this.#supervisor = supervisor;
    this.#socketPath = socketPath;
  }

  get #path(): string {
    return stateFilePath(this.#stateDir, this.#supervisor.status().name);
  }

  /** Proves that the state can be kept, before anything is started. @throws LlmctlError `state-unwritable`. */
  async saveFirst(): Promise<void> {
    try {
      await writeFirstState(this.#stateDir, this.#record());
      this.#written = await describeFile(this.#path);
    } catch (error) {
      throw this.#stateUnwritable(error);
    }
  }

  save(): void {
    // Not at once: a write that fails before it waits for anything would end before it is noted, and then be waited for
    // without end.
    if (this.#writing === undefined) this.#writing = Promise.resolve().then(() => this.#write());
    else this.#again = true;
  }

  /** Writes the file again where it is no longer what was written. */
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
        await writeState(this.#stateDir, this.#record());
        this.#written = await describeFile(this.#path);
      } catch (error) {
        // what is there is no longer what should be: the next look writes it, when the disk has room again
        this.#written = "";
        this.#supervisor.warn(this.#stateUnwritable(error).message);
      }
    } while (this.#again);
    this.#writing = undefined;
  }

  #record(): StateRecord {
    const { server, stopTimeoutMs } = this.#supervisor;
    const socket = this.#socketPath();
    return {
      status: this.#supervisor.status(),
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
