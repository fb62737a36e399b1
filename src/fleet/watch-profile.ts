import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import type { Paths } from "../base/files/paths.ts";
import { watchQuietly } from "../base/files/watch-quietly.ts";
import { fetchStatus, followEvents } from "../control/client.ts";
import {
  findSupervisor,
  serverLockPath,
  supervisorLockPath,
  type FoundSupervisor,
} from "../supervisor/state/find-supervisor.ts";
import { readUnanswered, refusedState, unreadableState } from "../supervisor/state/profile-states.ts";
import type { ProfileState } from "../supervisor/state/profile-states.ts";
import { stateFilePath } from "../supervisor/state/state-file.ts";
import type { NewestStates } from "./newest-states.ts";
import { WakeUp } from "./wake-up.ts";

export interface ProfileWatchOptions {
  readonly paths: Paths;
  readonly name: string;
  readonly newest: NewestStates;
  /** The longest time between two looks, in milliseconds; also how often a supervisor is asked whether it answers. */
  readonly fallbackMs: number;
  readonly signal: AbortSignal;
}

type Answering = Extract<FoundSupervisor, { answers: true }>;

/** Several files change together, such as a lock and a state. */
const settleMs = 50;
/** After a change others may follow that no file shows, such as the end of a server without a supervisor. */
const soonMs = 100;
/** A supervisor that cannot be followed, such as one of another version, breaks off at once. */
const steadyMs = 1000;

/** The files whose change may change the state; the logs beside them change all the time. */
const stateFiles: ReadonlySet<string> = new Set(
  [stateFilePath, supervisorLockPath, serverLockPath].map((pathOf) => basename(pathOf("", "any"))),
);

/** Watches one profile: reads the events of its supervisor while that answers, else looks at its files. */
export class ProfileWatch {
  readonly #options: ProfileWatchOptions;
  readonly #folder: string;
  readonly #wakeUp = new WakeUp();
  #waitMs = soonMs;
  #endFirstLook = () => {};
  /** Resolves when the first state is known. */
  readonly looked = new Promise<void>((resolve) => {
    this.#endFirstLook = resolve;
  });

  constructor(options: ProfileWatchOptions) {
    this.#options = options;
    this.#folder = join(options.paths.state, options.name);
  }

  /** Asks for a look: something has changed that the profile's own files may not show. */
  lookAgain(): void {
    this.#wakeUp.ring();
  }

  /** Ends when the profile has no state and no folder any more, and on abort. */
  async run(): Promise<void> {
    try {
      while (!this.#options.signal.aborted) if (!(await this.#lookAndWait())) return;
    } finally {
      this.#endFirstLook();
    }
  }

  /** @returns false when there is nothing left to watch. */
  async #lookAndWait(): Promise<boolean> {
    // Opened before the look, so that no change between the look and the wait is missed; and opened anew each time,
    // since another folder may have taken the place of this one.
    const watch = watchQuietly(this.#folder, (file) => {
      const isOfState = file === undefined || file === this.#options.name || stateFiles.has(file);
      if (isOfState) this.#wakeUp.ring();
    });
    try {
      const found = await this.#look();
      this.#endFirstLook();
      if (found === "nothing" && !existsSync(this.#folder)) return false;
      if (typeof found !== "string") {
        watch.close(); // the events tell more
        await this.#follow(found);
      }
      await this.#wait();
      return true;
    } finally {
      watch.close();
    }
  }

  async #look(): Promise<Answering | "files" | "nothing"> {
    const { paths, name, newest } = this.#options;
    try {
      const found = await findSupervisor(paths, name);
      if (found?.answers === true) {
        this.#put({ name, presence: "live", status: found.status });
        return found;
      }
      const state = await readUnanswered(paths, name, found);
      if (state === undefined) newest.forget(name);
      else this.#put(state);
      return state === undefined ? "nothing" : "files";
    } catch (error) {
      const isSystems = systemErrorCode(error) !== undefined;
      this.#put(refusedState(name, isSystems ? unreadableState(this.#folder, error) : error));
      return "files";
    }
  }

  #put(state: ProfileState): void {
    if (this.#options.newest.put(state)) this.#waitMs = soonMs;
  }

  /** Waits for a change; where nothing tells of one, each wait is twice as long as the one before. */
  async #wait(): Promise<void> {
    const isChange = await this.#wakeUp.wait(this.#waitMs);
    if (isChange && !this.#options.signal.aborted) await sleep(settleMs);
    this.#waitMs = isChange ? soonMs : Math.min(2 * this.#waitMs, this.#options.fallbackMs);
  }

  /** Reads events until the supervisor ends. */
  async #follow({ socketPath }: Answering): Promise<void> {
    const { name, newest, signal, fallbackMs } = this.#options;
    const beganMs = performance.now();
    const progress: Progress = { events: 0, isOver: false };
    const timer = setInterval(() => void this.#refresh(socketPath, progress), fallbackMs);
    try {
      for await (const { status } of followEvents(socketPath, { signal })) {
        progress.events += 1;
        newest.put({ name, presence: "live", status });
      }
    } catch (error) {
      // The next look finds out, and says, what is wrong.
      const isKnown = error instanceof LlmctlError || systemErrorCode(error) !== undefined;
      if (!signal.aborted && !isKnown) throw error;
    } finally {
      clearInterval(timer);
      progress.isOver = true;
    }
    if (performance.now() - beganMs > steadyMs) this.#waitMs = soonMs;
  }

  /**
   * Asks for the status: no event tells how the traffic goes on, nor that a supervisor is stopped by a debugger or a
   * full disk. Its failure ends the watch of all: only an error of our own gets here.
   */
  async #refresh(socketPath: string, progress: Progress): Promise<void> {
    const { newest } = this.#options;
    const { events } = progress;
    try {
      const state = await this.#ask(socketPath);
      // An event that came meanwhile is newer than the answer.
      if (state !== undefined && !progress.isOver && progress.events === events) newest.put(state);
    } catch (error) {
      newest.end({ error });
    }
  }

  async #ask(socketPath: string): Promise<ProfileState | undefined> {
    const { paths, name } = this.#options;
    try {
      const status = await fetchStatus(socketPath);
      return status?.name === name ? { name, presence: "live", status } : undefined;
    } catch (error) {
      if (systemErrorCode(error) !== undefined) return undefined;
      if (!(error instanceof LlmctlError)) throw error;
      return readUnanswered(paths, name, { answers: false, pid: undefined, reason: error });
    }
  }
}

/** How far the reading of one supervisor's events is. */
interface Progress {
  events: number;
  isOver: boolean;
}
