import { existsSync } from "node:fs";
import { basename, dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LlmctlError } from "../base/errors.ts";
import type { Paths } from "../base/files/paths.ts";
import { watchQuietly, type QuietWatch } from "../base/files/watch-quietly.ts";
import { listStateNames } from "../supervisor/state/profile-states.ts";
import { NewestStates, type FleetChange } from "./newest-states.ts";
import { WakeUp } from "./wake-up.ts";
import { ProfileWatch, type ProfileWatchOptions } from "./watch-profile.ts";

interface WatchFleetOptions {
  /** Ends the watch. */
  readonly signal?: AbortSignal;
  /** The longest time between two looks at what tells no change by itself, in milliseconds. */
  readonly fallbackMs?: number;
}

/** Ten times as slow as a person notices; the watches of folders and the events of supervisors tell the rest. */
const usualFallbackMs = 10_000;
/** A folder is made and filled within milliseconds. */
const settleMs = 50;

/**
 * The states of all profiles of this user as one stream: first the present state of each, which may be none, then every
 * change, also of profiles that come and go. A reader that is slow gets the newest state of each profile, and none of
 * those between. The stream ends when its reader or `signal` ends it; a question to a supervisor that is under way then
 * ends within its own limit of 3 s.
 */
export async function* watchFleet(
  paths: Paths,
  { signal, fallbackMs = usualFallbackMs }: WatchFleetOptions = {},
): AsyncGenerator<FleetChange, void, undefined> {
  const ended = new AbortController();
  const newest = new NewestStates();
  const watch = new FolderWatch({ paths, newest, fallbackMs, signal: ended.signal });
  const end = () => {
    ended.abort();
    newest.end();
    watch.lookAgain();
  };
  signal?.addEventListener("abort", end, { once: true });
  if (signal?.aborted === true) end();
  const watching = watch.run().catch((error: unknown) => newest.end({ error }));
  try {
    for (let change = await newest.read(); change !== undefined; change = await newest.read()) yield change;
  } finally {
    signal?.removeEventListener("abort", end);
    end();
    await watching;
  }
}

/** Watches the folder that holds a folder for each profile, and has a {@link ProfileWatch} for each of them. */
class FolderWatch {
  readonly #options: Omit<ProfileWatchOptions, "name">;
  readonly #watches = new Map<string, ProfileWatch>();
  readonly #wakeUp = new WakeUp();

  constructor(options: Omit<ProfileWatchOptions, "name">) {
    this.#options = options;
  }

  /** Wakes up everything that waits, so that it sees what has changed, or that it is to end. */
  lookAgain(): void {
    this.#wakeUp.ring();
    for (const watch of this.#watches.values()) watch.lookAgain();
  }

  async run(): Promise<void> {
    const { signal, paths, newest, fallbackMs } = this.#options;
    for (let isFirst = true; !signal.aborted; isFirst = false) {
      const watch = watchNearest(paths.state, () => this.#wakeUp.ring());
      try {
        await this.#list();
        if (isFirst) {
          const looks = [...this.#watches.values()].map(({ looked }) => looked);
          void Promise.all(looks).then(() => newest.open()); // none of them rejects
        }
        if ((await this.#wakeUp.wait(fallbackMs)) && !signal.aborted) await sleep(settleMs);
      } finally {
        watch.close();
      }
    }
  }

  async #list(): Promise<void> {
    const { paths, newest } = this.#options;
    try {
      const names = await listStateNames(paths);
      newest.refuse(undefined);
      for (const name of names) if (!this.#watches.has(name)) this.#watchProfile(name);
      // A profile whose folder is gone may still have a supervisor, which makes the folder anew.
      for (const [name, watch] of this.#watches) if (!names.includes(name)) watch.lookAgain();
    } catch (error) {
      if (!(error instanceof LlmctlError)) throw error;
      newest.refuse(error);
    }
  }

  #watchProfile(name: string): void {
    const { newest } = this.#options;
    const watch = new ProfileWatch({ ...this.#options, name });
    this.#watches.set(name, watch);
    const run = async () => {
      try {
        await watch.run();
        this.#watches.delete(name);
        this.#wakeUp.ring(); // its folder may have come back meanwhile
      } catch (error) {
        newest.end({ error });
      }
    };
    void run(); // its failure ends the stream
  }
}

/** Watches a folder, or, where it is not there yet, the nearest one above it that is, for the next step to it. */
function watchNearest(folder: string, onChange: () => void): QuietWatch {
  if (existsSync(folder)) return watchQuietly(folder, onChange);
  let missing = folder;
  while (!existsSync(dirname(missing)) && dirname(missing) !== missing) missing = dirname(missing);
  return watchQuietly(dirname(missing), (name) => {
    if (name === undefined || name === basename(missing)) onChange();
  });
}
