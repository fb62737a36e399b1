import type { TokenTraffic } from "../launch.ts";

/**
 * Tells log lines of our own requests from those of clients. Ours are the first requests of a run, but a server that
 * logs in a separate thread may write their lines some time after its answer.
 */
export class OwnRequestFilter {
  #left = 0;
  #isOwn = false;

  /** Announces this many more own requests. */
  add(count: number): void {
    this.#left += count;
  }

  /**
   * Whether a line belongs to an own request. A request logs a line with its speed, then one about drafts if it
   * drafted.
   */
  includes({ draftTokens }: TokenTraffic): boolean {
    if (draftTokens === 0) {
      this.#isOwn = this.#left > 0;
      if (this.#isOwn) this.#left -= 1;
    }
    return this.#isOwn;
  }
}
