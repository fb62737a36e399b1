import type { BytesTaken } from "../state/process-identity.ts";

/** Counters that grow while a server works, at one moment; undefined when the system does not tell. */
interface Signs {
  readonly logBytes: number;
  /** CPU time used, in clock ticks. */
  readonly cpuTicks: number | undefined;
  readonly taken: BytesTaken | undefined;
}

/** Milliseconds; long enough to tell work from the cost of our own health checks. */
const windowMs = 10_000;
/**
 * CPU time in one window that counts as idle, in clock ticks of 1/100 s (proc(5)): a hundredth of a core. Our health
 * checks cost an idle server well under a thousandth; a server that computes, also on a GPU, uses a core.
 */
const idleTicks = 10;

/** Measures signs of life: whether a server logs, computes or reads. */
export class ActivityMeter {
  readonly #read: () => Signs;
  #last: Signs;
  #movedAtMs: number;
  #windowStartMs: number;

  constructor(read: () => Signs, nowMs: number) {
    this.#read = read;
    this.#last = this.#read();
    this.#movedAtMs = nowMs;
    this.#windowStartMs = nowMs;
  }

  /** @returns whether a counter has grown since the last call; CPU time is compared over some seconds. */
  look(nowMs: number): boolean {
    const signs = this.#read();
    const moves = hasMoved(this.#last, signs);
    if (moves) this.#movedAtMs = nowMs;
    if (moves || nowMs - this.#windowStartMs >= windowMs) {
      this.#windowStartMs = nowMs;
      this.#last = signs;
    }
    return moves;
  }

  /** Restarts the count of silence. */
  startAnew(nowMs: number): void {
    this.#movedAtMs = nowMs;
  }

  silentMs(nowMs: number): number {
    return nowMs - this.#movedAtMs;
  }
}

function hasMoved(before: Signs, now: Signs): boolean {
  // Not ">": a rotated log is smaller.
  if (now.logBytes !== before.logBytes || hasTaken(before.taken, now.taken)) return true;
  return (now.cpuTicks ?? 0) - (before.cpuTicks ?? 0) > idleTicks;
}

function hasTaken(before: BytesTaken | undefined, now: BytesTaken | undefined): boolean {
  if (before === undefined || now === undefined) return false;
  return now.read > before.read || now.fetched > before.fetched || now.mapped > before.mapped;
}
