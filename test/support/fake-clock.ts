import { setImmediate as turn } from "node:timers/promises";
import { sleepBy, type Clock } from "../../src/base/clock.ts";

interface Timer {
  readonly atMs: number;
  readonly run: () => void;
}

/** More than any test needs: timers that set each other without delay fail in place of running for ever. */
const mostTimers = 500_000;

/**
 * A clock that stands still until a test advances it. What waits only for timers and promises is carried through; real
 * I/O is not waited for.
 */
export class FakeClock implements Clock {
  #nowMs: number;
  #timers: Timer[] = [];

  constructor(nowMs = 1_000_000) {
    this.#nowMs = nowMs;
  }

  readonly nowMs = (): number => this.#nowMs;

  readonly setTimer = (ms: number, run: () => void): (() => void) => {
    const timer = { atMs: this.#nowMs + Math.max(0, ms), run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  };

  readonly sleep = (ms: number, signal?: AbortSignal): Promise<void> => sleepBy(this.setTimer, ms, signal);

  /** Number of timers that have yet to run. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Lets time pass: runs the timers that become due, in order, and after each one whatever its promises lead to. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await this.#runTimers(endMs, () => false);
    this.#nowMs = Math.max(this.#nowMs, endMs);
  }

  /** Lets time pass in which this process does not run, as when it is stopped: its timers run late. */
  stall(ms: number): void {
    this.#nowMs += ms;
  }

  /** Lets time pass until work is done. @returns its result. @throws an error when it needs more than `limitMs`. */
  async until<T>(work: Promise<T>, limitMs = 3_600_000): Promise<T> {
    let isDone = false;
    void Promise.allSettled([work]).then(() => (isDone = true));
    await this.#runTimers(this.#nowMs + limitMs, () => isDone);
    if (!isDone) throw new Error(`not done after ${limitMs} ms`);
    return work;
  }

  async #runTimers(endMs: number, isEnough: () => boolean): Promise<void> {
    // One turn of the event loop settles all promises that wait for nothing but each other.
    await turn();
    for (let count = 0; !isEnough(); count++) {
      const timer = this.#takeFirst(endMs);
      if (timer === undefined) return;
      if (count === mostTimers) throw new Error(`more than ${mostTimers} timers`);
      this.#nowMs = Math.max(this.#nowMs, timer.atMs);
      timer.run();
      await turn();
    }
  }

  /** Of timers for the same time, the one that was set first. */
  #takeFirst(endMs: number): Timer | undefined {
    const [timer] = this.#timers.filter(({ atMs }) => atMs <= endMs).toSorted((a, b) => a.atMs - b.atMs);
    this.#timers = this.#timers.filter((other) => other !== timer);
    return timer;
  }
}
