/** The system tells the time since boot in hundredths of a second; some in whole ones. */
const shortestSuspendMs = 5000;

/**
 * Tells how long the machine was suspended, from two clocks of which one stands still meanwhile: what people do to the time of day says nothing.
 * Times are milliseconds.
 */
export class SuspendMeter {
  #asleepMs: number;

  /** @param sinceBootMs Counts on while the machine is suspended. @param nowMs Stands still. */
  constructor(sinceBootMs: number, nowMs: number) {
    this.#asleepMs = sinceBootMs - nowMs;
  }

  /** @returns for how long since the last look; 0 where it was not. */
  look(sinceBootMs: number, nowMs: number): number {
    const suspendedMs = sinceBootMs - nowMs - this.#asleepMs;
    if (suspendedMs < shortestSuspendMs) return 0;
    this.#asleepMs += suspendedMs;
    return suspendedMs;
  }
}
