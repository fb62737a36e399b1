import type { TokenTraffic } from "../launch.ts";

/**
 * Tells the lines that our own requests leave in the server's log from those of clients. Ours are the first of a run,
 * but a server that logs in a thread of its own may write them only after it has answered, and we have gone on.
 */
export class OwnRequestFilter {
  #left = 0;
  #isOwn = false;

  /** This many requests more were ours. */
  add(count: number): void {
    this.#left += count;
  }

  /**
   * Whether a line is of a request of ours. A request has a line with its speed, and behind it one about drafting where
   * it drafted.
   */
  includes({ draftTokens }: TokenTraffic): boolean {
    if (draftTokens === 0) {
      this.#isOwn = this.#left > 0;
      if (this.#isOwn) this.#left -= 1;
    }
    return this.#isOwn;
  }
}
