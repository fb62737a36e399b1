import { ensureOwnFolder } from "../../base/files/own-folder.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { ControlServer } from "../../control/server.ts";
import { listSocketPlaces } from "../../control/socket-path.ts";
import { serverLockPath, supervisorLockPath } from "./find-supervisor.ts";
import { type Flock, recordInheritedLock, takeLock, type Lock } from "./file-lock.ts";
import { type LockedServer, makeLockRecord } from "./lock-record.ts";
import { takeServerLock } from "./profile-locks.ts";
import { isRunning } from "./process-identity.ts";
import type { StateSaver } from "./state-saver.ts";
import { describeSystemError, warnOnSystemError } from "../warn-on-system-error.ts";

interface RegistrationOptions {
  readonly paths: Paths;
  readonly name: string;
  /** The supervisor's lock. */
  readonly lock: Lock;
  readonly warn: (text: string) => void;
  readonly flock?: Flock | undefined;
}

interface Kept {
  readonly control: ControlServer;
  readonly saver: StateSaver;
  readonly everyMs: () => number;
}

/** Shortest interval: a profile may set a health interval of 10 ms. */
const shortestMs = 200;

/**
 * Keeps a supervisor findable: by its lock, its server's lock, its socket and its state file. Others may remove any of
 * them (the end of a login, a cleaner of temporary folders, a person), so at each health interval missing ones are
 * recreated.
 */
export class Registration {
  readonly #options: RegistrationOptions;
  #lock: Lock;
  /** Undefined while an adopted server runs, which holds its lock itself. */
  #serverLock: Lock | undefined;
  #server: LockedServer | undefined;
  #socketPath: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #checking: Promise<void> | undefined;
  #hasLeft = false;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#lock = options.lock;
  }

  /** @returns the descriptor of the lock, for the server to inherit. @throws LlmctlError `lock-held`. */
  async lockServer(): Promise<number> {
    const { paths, name, flock } = this.#options;
    this.#serverLock ??= await takeServerLock(paths.state, name, { flock });
    return this.#serverLock.fd;
  }

  /** @throws the system's error. */
  recordServer(server: LockedServer): void {
    this.#server = server;
    this.#serverLock?.record(makeLockRecord(this.#options.name, { server }));
  }

  /** Records a server that outlived its last supervisor. @throws as {@link recordInheritedLock}. */
  adoptServer(server: LockedServer): void {
    this.#server = server;
    this.#renewServerRecord(server);
  }

  /** @throws the system's error. */
  recordSocket(socketPath: string): void {
    this.#socketPath = socketPath;
    this.#lock.record(makeLockRecord(this.#options.name, { socket: socketPath }));
  }

  /** Checks at each interval until {@link leave}. */
  keep(kept: Kept): void {
    const check = () => {
      this.#checking = this.#restore(kept)
        .catch((error: unknown) => this.#options.warn(`cannot restore its lock, socket and state: ${String(error)}`))
        .finally(() => {
          if (!this.#hasLeft) this.#timer = setTimeout(check, Math.max(shortestMs, kept.everyMs())).unref();
        });
    };
    this.#timer = setTimeout(check, Math.max(shortestMs, kept.everyMs())).unref();
  }

  /** Ends the checks. */
  async leave(): Promise<void> {
    this.#hasLeft = true;
    clearTimeout(this.#timer);
    await this.#checking;
  }

  release(): void {
    if (this.#serverLock !== undefined) this.#serverLock.release();
    else warnOnSystemError("cannot release the server's lock", () => this.#releaseAdopted(), this.#options.warn);
    this.#lock.release();
  }

  /** Marks the lock of an adopted server as released only if the server is gone: the next supervisor must find it. */
  #releaseAdopted(): void {
    if (this.#server !== undefined && !isRunning(this.#server.identity))
      recordInheritedLock(this.#serverLockPath, undefined);
  }

  get #serverLockPath(): string {
    return serverLockPath(this.#options.paths.state, this.#options.name);
  }

  /** Restores each part on its own: a part that fails must not stop the others. */
  async #restore({ control, saver }: Kept): Promise<void> {
    await this.#step("its lock", () => this.#lockAgain());
    await this.#step("its server's lock", () => this.#lockServerAgain());
    await this.#step("its socket", () => this.#listenAgain(control, saver));
    await this.#step("its lock records", () => this.#renewRecords());
    await saver.restore();
  }

  async #step(what: string, restore: () => void | Promise<void>): Promise<void> {
    try {
      await restore();
    } catch (error) {
      this.#options.warn(describeSystemError(`cannot restore ${what}`, error));
    }
  }

  async #listenAgain(control: ControlServer, saver: StateSaver): Promise<void> {
    const { paths, name } = this.#options;
    if ((await control.isInPlace()) || this.#hasLeft) return;
    await control.listen(listSocketPlaces(paths, name));
    this.#socketPath = control.socketPath;
    saver.save();
  }

  /** Recreates a removed lock file. Until then only the socket keeps a second supervisor from starting. */
  #lockAgain(): void {
    const { paths, name, warn, flock } = this.#options;
    ensureOwnFolder(paths.state);
    if (this.#lock.isInPlace()) return;
    const lock = takeLock(supervisorLockPath(paths.state, name), makeLockRecord(name), flock);
    if (lock === undefined)
      return warn("its lock file was removed, and another process holds the lock of the new file");
    this.#lock.release();
    this.#lock = lock;
  }

  /** Recreates a removed server lock. The running server keeps the removed file; the next one inherits the new one. */
  async #lockServerAgain(): Promise<void> {
    const { paths, name, flock } = this.#options;
    const removed = this.#serverLock;
    if (removed === undefined || removed.isInPlace()) return;
    this.#serverLock = await takeServerLock(paths.state, name, { flock });
    removed.release();
  }

  /** Rewrites the records: somebody may have emptied the files. */
  #renewRecords(): void {
    const { name } = this.#options;
    if (this.#socketPath !== undefined) this.#lock.record(makeLockRecord(name, { socket: this.#socketPath }));
    if (this.#server !== undefined) this.#renewServerRecord(this.#server);
  }

  #renewServerRecord(server: LockedServer): void {
    const record = makeLockRecord(this.#options.name, { server });
    if (this.#serverLock === undefined) recordInheritedLock(this.#serverLockPath, record);
    else this.#serverLock.record(record);
  }
}
