/** A question to a server's main loop. Ends with the answer, also where the server is gone or cannot be asked; never rejects. */
type Ask = (signal: AbortSignal) => Promise<void>;

/**
 * Asks a server's main loop something from time to time. Its health check says nothing about that loop: other threads answer it, also
 * when the loop is stuck for good.
 */
export class Heartbeat {
  readonly #ask: Ask;
  readonly #everyMs: number;
  readonly #signal: AbortSignal;
  /** When the open question was asked, or the last answer came. */
  #atMs: number;
  #isOpen = false;

  constructor(ask: Ask, { everyMs, nowMs, signal }: { readonly everyMs: number; readonly nowMs: number; readonly signal: AbortSignal }) {
    this.#ask = ask;
    this.#everyMs = everyMs;
    this.#signal = signal;
    this.#atMs = nowMs;
  }

  /** Asks when it is time to; never two questions at once. */
  beat(nowMs: number): void {
    if (this.#isOpen || nowMs - this.#atMs < this.#everyMs) return;
    this.#isOpen = true;
    this.#atMs = nowMs;
    void this.#ask(this.#signal).then(() => {
      this.#isOpen = false;
    }); // never rejects
  }

  /** How long the open question has waited for its answer, milliseconds; 0 when none is open. */
  waitedMs(nowMs: number): number {
    return this.#isOpen ? nowMs - this.#atMs : 0;
  }
}
