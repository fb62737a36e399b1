import { ensureOwnFolder } from "../base/own-folder.ts";
import type { Paths } from "../base/paths.ts";
import type { ControlServer } from "../control/server.ts";
import { listSocketPlaces } from "../control/socket-path.ts";
import { supervisorLockPath } from "./find-supervisor.ts";
import { takeLock, type Lock } from "./lock.ts";
import { type LockedServer, makeNote } from "./lock-note.ts";
import { takeServerLock } from "./ownership.ts";
import type { StateSaver } from "./state-saver.ts";

interface PlaceOptions {
  readonly paths: Paths;
  readonly name: string;
  /** The supervisor's. */
  readonly lock: Lock;
  readonly warn: (text: string) => void;
}

interface Kept {
  readonly control: ControlServer;
  readonly saver: StateSaver;
  readonly everyMs: () => number;
}

/** A check costs a few system calls; health checks may come a hundred times a second. */
const shortestMs = 200;

/**
 * What makes a supervisor findable: its lock, its server's lock, its socket and its state file. Others may remove any of them (the end of a login,
 * a cleaner of temporary folders, a person): at each health interval what is missing is made anew.
 */
export class Place {
  readonly #options: PlaceOptions;
  #lock: Lock;
  #serverLock: Lock | undefined;
  #server: LockedServer | undefined;
  #socketPath: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #hasLeft = false;

  constructor(options: PlaceOptions) {
    this.#options = options;
    this.#lock = options.lock;
  }

  /** @returns the descriptor that the server inherits. @throws LlmctlError `lock-held`. */
  async lockServer(): Promise<number> {
    const { paths, name } = this.#options;
    this.#serverLock ??= await takeServerLock(paths.state, name);
    return this.#serverLock.fd;
  }

  /** @throws the system's error. */
  noteServer(server: LockedServer): void {
    this.#server = server;
    this.#serverLock?.note(makeNote(this.#options.name, { server }));
  }

  /** @throws the system's error. */
  noteSocket(socketPath: string): void {
    this.#socketPath = socketPath;
    this.#lock.note(makeNote(this.#options.name, { socket: socketPath }));
  }

  /** From now on looks at each interval, until it is left. */
  keep(kept: Kept): void {
    const look = () => {
      this.#looking = this.#restore(kept)
        .catch((error: unknown) => this.#options.warn(`cannot keep its lock, socket and state: ${String(error)}`))
        .finally(() => {
          if (!this.#hasLeft) this.#timer = setTimeout(look, Math.max(shortestMs, kept.everyMs())).unref();
        });
    };
    this.#timer = setTimeout(look, Math.max(shortestMs, kept.everyMs())).unref();
  }

  /** Restores nothing any more. */
  async leave(): Promise<void> {
    this.#hasLeft = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  release(): void {
    this.#serverLock?.release();
    this.#lock.release();
  }

  async #restore({ control, saver }: Kept): Promise<void> {
    const { paths, name } = this.#options;
    ensureOwnFolder(paths.state);
    if (!this.#lock.isInPlace()) this.#lockAgain();
    if (this.#serverLock !== undefined && !this.#serverLock.isInPlace()) await this.#lockServerAgain(this.#serverLock);
    if (!(await control.isInPlace()) && !this.#hasLeft) {
      await control.listen(listSocketPlaces(paths, name));
      this.#socketPath = control.socketPath;
      saver.save();
    }
    this.#renewNotes();
    await saver.restore();
  }

  /** The lock file was removed. Until it is here again, only the socket keeps a second supervisor away. */
  #lockAgain(): void {
    const { paths, name, warn } = this.#options;
    const lock = takeLock(supervisorLockPath(paths.state, name), makeNote(name));
    if (lock === undefined) return warn("its lock file was removed, and another process has the one that was made since");
    this.#lock.release();
    this.#lock = lock;
  }

  /** A server that runs keeps the removed file; the next one inherits the new one. */
  async #lockServerAgain(removed: Lock): Promise<void> {
    const { paths, name } = this.#options;
    this.#serverLock = await takeServerLock(paths.state, name);
    removed.release();
  }

  /** Somebody may have emptied the files. */
  #renewNotes(): void {
    const { name } = this.#options;
    if (this.#socketPath !== undefined) this.#lock.note(makeNote(name, { socket: this.#socketPath }));
    if (this.#server !== undefined) this.#serverLock?.note(makeNote(name, { server: this.#server }));
  }
}
