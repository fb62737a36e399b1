import { setTimeout as sleep } from "node:timers/promises";

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
  #last: string | undefined;
  #askedMs = -Infinity;
  #asking: Promise<void> | undefined;

  /** @param ask Never rejects; resolves to undefined when the server has no metrics. */
  constructor(ask: () => Promise<string | undefined>) {
    this.#ask = ask;
  }

  async read(): Promise<string | undefined> {
    if (this.#asking === undefined && performance.now() - this.#askedMs >= freshMs) this.#asking = this.#askAgain();
    if (this.#asking !== undefined) {
      const waiting = new AbortController();
      await Promise.race([
        this.#asking,
        sleep(longestWaitMs, undefined, { signal: waiting.signal }).catch(() => undefined),
      ]);
      waiting.abort();
    }
    return this.#last;
  }

  async #askAgain(): Promise<void> {
    this.#askedMs = performance.now();
    this.#last = await this.#ask();
    this.#asking = undefined;
  }
}
