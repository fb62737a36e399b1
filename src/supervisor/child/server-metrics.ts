import { setTimeout as sleep } from "node:timers/promises";

/** Prometheus scrapes every 15 s or more; several readers at once must not become several questions. */
const freshMs = 5000;

/** A scrape has 10 s by default, and our own part of the answer is there at once. */
const longestWaitMs = 1000;

/**
 * What one server tells about itself in Prometheus text, some seconds old at most while it answers. Its main loop
 * answers, which a long prompt holds up for minutes: then the last answer is given, and no second question is asked, as
 * questions look like life.
 */
export class ServerMetrics {
  readonly #ask: () => Promise<string | undefined>;
  #last: string | undefined;
  #askedMs = -Infinity;
  #asking: Promise<void> | undefined;

  /** @param ask never rejects; undefined for a server that does not tell. */
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
