import { uptime } from "node:os";
import { isSystemError } from "../../base/errors.ts";

/** The system tells the time since boot in hundredths of a second; some in whole ones. */
const shortestSuspendMs = 5000;

/** Milliseconds since boot; undefined in a sandbox that does not tell. */
export function readSinceBootMs(): number | undefined {
  try {
    return uptime() * 1000;
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return undefined;
  }
}

/**
 * Tells how long the machine was suspended, from two clocks of which one stands still meanwhile: what people do to the
 * time of day says nothing. Times are milliseconds.
 */
export class SuspendMeter {
  #asleepMs: number | undefined;

  /**
   * @param sinceBootMs Counts on while the machine is suspended; undefined where it is not known.
   * @param nowMs Stands still.
   */
  constructor(sinceBootMs: number | undefined, nowMs: number) {
    this.#asleepMs = sinceBootMs === undefined ? undefined : sinceBootMs - nowMs;
  }

  /** @returns for how long since the last look; 0 where it was not, or nobody knows. */
  look(sinceBootMs: number | undefined, nowMs: number): number {
    if (sinceBootMs === undefined) return 0;
    const asleepMs = sinceBootMs - nowMs;
    const suspendedMs = asleepMs - (this.#asleepMs ??= asleepMs);
    if (suspendedMs < shortestSuspendMs) return 0;
    this.#asleepMs = asleepMs;
    return suspendedMs;
  }
}
