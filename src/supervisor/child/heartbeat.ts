/**
 * A question to a server's main loop. Ends with the answer, also where the server is gone or cannot be asked; never
 * rejects.
 */
type Ask = (signal: AbortSignal) => Promise<void>;

interface HeartbeatOptions {
  /** From a question to the next. */
  readonly everyMs: number;
  readonly nowMs: number;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * Asks a server's main loop something from time to time. Its health check says nothing about that loop: other threads
 * answer it, also when the loop is stuck for good.
 */
export class Heartbeat {
  readonly #ask: Ask;
  readonly #everyMs: number;
  readonly #signal: AbortSignal;
  /** When the first question without an answer was asked; undefined when there is none. */
  #openSinceMs: number | undefined;
  #nextMs: number;
  #question = new AbortController();

  constructor(ask: Ask, { everyMs, nowMs, signal }: HeartbeatOptions) {
    this.#ask = ask;
    this.#everyMs = everyMs;
    this.#signal = signal;
    this.#nextMs = nowMs + everyMs;
    // One listener, and not a signal made of two for each question, which would live until the next full garbage
    // collection.
    signal.addEventListener("abort", () => this.#question.abort());
  }

  /**
   * Asks when it is time to. A question without an answer is given up for another, since a server may lose one; each of
   * them waits twice as long as the one before, since what they cost the server must not look like life.
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

  /** How long there has been no answer, milliseconds; 0 when none is waited for. */
  waitedMs(nowMs: number): number {
    return this.#openSinceMs === undefined ? 0 : nowMs - this.#openSinceMs;
  }
}
