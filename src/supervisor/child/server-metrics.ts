import { type Clock, systemClock } from "../../base/clock.ts";

/** Prometheus scrapes every 15 s or more; several readers within this time share one request. */
const freshMs = 5000;

/** A scrape times out after 10 s by default, and our own part of the answer is ready at once. */
const longestWaitMs = 1000;

/**
 * Caches the Prometheus text of one server for some seconds. The server's main loop answers, which a long prompt delays
 * for minutes. Then the last answer is returned and no second request is sent: requests look like signs of life.
 */
export class ServerMetrics {
  readonly #ask: () => Promise<string | undefined>;
  readonly #clock: Clock;
  #last: string | undefined;
  #askedMs = -Infinity;
  #asking: Promise<void> | undefined;

  /** @param ask Never rejects; resolves to undefined when the server has no metrics. */
  constructor(ask: () => Promise<string | undefined>, clock: Clock = systemClock) {
    this.#ask = ask;
    this.#clock = clock;
  }

  async read(): Promise<string | undefined> {
    if (this.#asking === undefined && this.#clock.nowMs() - this.#askedMs >= freshMs) this.#asking = this.#askAgain();
    if (this.#asking !== undefined) {
      const waiting = new AbortController();
      await Promise.race([this.#asking, this.#clock.sleep(longestWaitMs, waiting.signal).catch(() => undefined)]);
      waiting.abort();
    }
    return this.#last;
  }

  async #askAgain(): Promise<void> {
    this.#askedMs = this.#clock.nowMs();
    this.#last = await this.#ask();
    this.#asking = undefined;
  }
}
