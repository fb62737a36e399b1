/**
 * Probes a server's main loop. Resolves with the answer, or when the server is gone or cannot be asked; never rejects.
 */
type Ask = (signal: AbortSignal) => Promise<void>;

interface HeartbeatOptions {
  /** Interval between two probes. */
  readonly everyMs: number;
  readonly nowMs: number;
  /** Stops the heartbeat. */
  readonly signal: AbortSignal;
}

/**
 * Probes a server's main loop from time to time. The health check says nothing about that loop: other threads answer it
 * even when the loop is stuck for good.
 */
export class Heartbeat {
  readonly #ask: Ask;
  readonly #everyMs: number;
  readonly #signal: AbortSignal;
  /** When the first unanswered probe was sent; undefined when all are answered. */
  #openSinceMs: number | undefined;
  #nextMs: number;
  #question = new AbortController();

  constructor(ask: Ask, { everyMs, nowMs, signal }: HeartbeatOptions) {
    this.#ask = ask;
    this.#everyMs = everyMs;
    this.#signal = signal;
    this.#nextMs = nowMs + everyMs;
    // One listener rather than AbortSignal.any for each probe, which lives until the next full garbage collection.
    signal.addEventListener("abort", () => this.#question.abort());
  }

  /**
   * Sends a probe when it is due. An unanswered probe is replaced by a new one, since a server may lose one. Each waits
   * twice as long as the previous one: the cost of many probes would look like a sign of life.
   */
  beat(nowMs: number): void {
    if (nowMs < this.#nextMs) return;
    this.#openSinceMs ??= nowMs;
    this.#nextMs = nowMs + Math.max(this.#everyMs, 2 * (nowMs - this.#openSinceMs));
    this.#question.abort();
    const question = new AbortController();
    this.#question = question;
    if (this.#signal.aborted) question.abort();
    void this.#ask(question.signal).then(() => {
      if (question.signal.aborted) return;
      this.#openSinceMs = undefined;
      this.#nextMs = nowMs + this.#everyMs;
    }); // never rejects
  }

  /** Milliseconds without an answer; 0 when no probe is open. */
  waitedMs(nowMs: number): number {
    return this.#openSinceMs === undefined ? 0 : nowMs - this.#openSinceMs;
  }
}
