import { uptime } from "node:os";
import { isSystemError } from "../../base/errors.ts";

/** Above the resolution of the time since boot: 10 ms, on some systems 1 s. */
const shortestSuspendMs = 5000;

/** Milliseconds since boot; undefined in a sandbox that hides it. */
export function readSinceBootMs(): number | undefined {
  try {
    return uptime() * 1000;
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return undefined;
  }
}

/**
 * Measures how long the machine was suspended, from two clocks of which only one stops during a suspend. Independent of
 * the time of day, which people may change. Times are milliseconds.
 */
export class SuspendMeter {
  #asleepMs: number | undefined;

  /**
   * @param sinceBootMs Counts during a suspend; undefined when unknown.
   * @param nowMs Stops during a suspend.
   */
  constructor(sinceBootMs: number | undefined, nowMs: number) {
    this.#asleepMs = sinceBootMs === undefined ? undefined : sinceBootMs - nowMs;
  }

  /** @returns the length of a suspend since the last call; 0 if there was none or it is unknown. */
  look(sinceBootMs: number | undefined, nowMs: number): number {
    if (sinceBootMs === undefined) return 0;
    const asleepMs = sinceBootMs - nowMs;
    const suspendedMs = asleepMs - (this.#asleepMs ??= asleepMs);
    if (suspendedMs < shortestSuspendMs) return 0;
    this.#asleepMs = asleepMs;
    return suspendedMs;
  }
}
