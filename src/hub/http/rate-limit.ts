import type { RetryRule } from "./retry.ts";

/** Limits the rate of all connections together. */
export class RateLimit {
  readonly #bytesPerSecond: number;
  readonly #wait: RetryRule["wait"];
  readonly #now: () => number;
  /** The time at which all bytes so far would have arrived at the rate. */
  #dueMs = 0;

  /** @param now Milliseconds of a clock that never goes back. */
  constructor(bytesPerSecond: number, wait: RetryRule["wait"], now: () => number = () => performance.now()) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#wait = wait;
    this.#now = now;
  }

  /** Counts bytes that have arrived, and waits until they are due. @throws the signal's reason. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const nowMs = this.#now();
    this.#dueMs = Math.max(this.#dueMs, nowMs) + (bytes / this.#bytesPerSecond) * 1000;
    if (this.#dueMs > nowMs) await this.#wait(this.#dueMs - nowMs, signal);
  }
}
