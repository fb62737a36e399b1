import { isDeepStrictEqual } from "node:util";
import type { LlmctlError } from "../base/errors.ts";
import type { ProfileState } from "../supervisor/state/profile-states.ts";

/** What has changed since the reader was last told. */
export interface FleetChange {
  /** The newest state of each profile that is new or has changed, by name. */
  readonly states: readonly ProfileState[];
  /** Names of profiles that have no state any more. */
  readonly forgotten: readonly string[];
  /** Why the folder of the states cannot be read now; the profiles that are known are watched all the same. */
  readonly error?: LlmctlError;
}

/**
 * Keeps for one reader what it has not read yet: of each profile the newest state only, so that a slow reader costs no
 * more memory than there are profiles.
 */
export class NewestStates {
  readonly #known = new Map<string, ProfileState>();
  /** Names of what the reader has not been told; a name that is not known is a forgotten one. */
  readonly #unread = new Set<string>();
  #error: LlmctlError | undefined;
  #isErrorUnread = false;
  #isOpen = false;
  #isEnded = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  /** @returns whether the state differs from the last one. */
  put(state: ProfileState): boolean {
    const last = this.#known.get(state.name);
    if (last !== undefined && isSame(last, state)) return false;
    this.#known.set(state.name, state);
    this.#unread.add(state.name);
    this.#tell();
    return true;
  }

  forget(name: string): void {
    if (!this.#known.delete(name)) return;
    this.#unread.add(name);
    this.#tell();
  }

  /** Why the folder of the states cannot be read; undefined when it can. */
  refuse(error: LlmctlError | undefined): void {
    if (this.#error?.message === error?.message) return;
    this.#error = error;
    this.#isErrorUnread = true;
    this.#tell();
  }

  /** The present state of all is known: the first change, which may be empty, can be read. */
  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#isErrorUnread = true;
    this.#tell();
  }

  /** Ends the reading, with an error of our own where there is one. */
  end(failure?: { readonly error: unknown }): void {
    this.#isEnded = true;
    this.#failure ??= failure;
    this.#tell();
  }

  /** Waits for a change. @returns undefined after the end. @throws the error of the end. */
  async read(): Promise<FleetChange | undefined> {
    while (!this.#isEnded && !(this.#isOpen && (this.#isErrorUnread || this.#unread.size > 0))) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#failure !== undefined) throw this.#failure.error;
    return this.#isEnded ? undefined : this.#take();
  }

  #take(): FleetChange {
    const names = [...this.#unread].toSorted();
    this.#unread.clear();
    this.#isErrorUnread = false;
    return {
      states: names.flatMap((name) => this.#known.get(name) ?? []),
      forgotten: names.filter((name) => !this.#known.has(name)),
      ...(this.#error === undefined ? {} : { error: this.#error }),
    };
  }

  #tell(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

/** An error that is made anew each time is the same where its words are. */
function isSame(one: ProfileState, other: ProfileState): boolean {
  return (
    one.presence === other.presence &&
    one.error?.message === other.error?.message &&
    isDeepStrictEqual(one.status, other.status)
  );
}
