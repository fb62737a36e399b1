import { readBytesTaken, readCpuTicks, type BytesTaken } from "../state/process-identity.ts";

/** What shows that a server works, as it is at one moment; undefined where the system does not tell. */
interface Signs {
  readonly logBytes: number;
  /** CPU time used, in clock ticks. */
  readonly cpuTicks: number | undefined;
  readonly taken: BytesTaken | undefined;
}

/** Long enough to tell work from what our own questions cost, in milliseconds. */
const windowMs = 10_000;
/**
 * CPU time in one window that does not count, in clock ticks, of which Linux tells programs 100 a second (proc(5)): a
 * hundredth of a core. Our own health checks cost a server that does nothing else well under a thousandth; one that
 * computes, on a GPU too, uses a core.
 */
const idleTicks = 10;

/** Whether a server still does something: logs, computes, or takes in bytes. */
export class ActivityMeter {
  readonly #read: () => Signs;
  #last: Signs;
  #movedAtMs: number;
  #windowStartMs: number;

  constructor(pid: number, logBytes: () => number, nowMs: number, read?: () => Signs) {
    this.#read = read ?? (() => ({ logBytes: logBytes(), cpuTicks: readCpuTicks(pid), taken: readBytesTaken(pid) }));
    this.#last = this.#read();
    this.#movedAtMs = nowMs;
    this.#windowStartMs = nowMs;
  }

  /** @returns whether anything has moved since the last look or, of CPU time, since some seconds ago. */
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

  /** Counts the silence from now on. */
  startAnew(nowMs: number): void {
    this.#movedAtMs = nowMs;
  }

  silentMs(nowMs: number): number {
    return nowMs - this.#movedAtMs;
  }
}

function hasMoved(before: Signs, now: Signs): boolean {
  // A log that is rotated gets smaller.
  if (now.logBytes !== before.logBytes || hasTaken(before.taken, now.taken)) return true;
  return (now.cpuTicks ?? 0) - (before.cpuTicks ?? 0) > idleTicks;
}

function hasTaken(before: BytesTaken | undefined, now: BytesTaken | undefined): boolean {
  if (before === undefined || now === undefined) return false;
  return now.read > before.read || now.fetched > before.fetched || now.mapped > before.mapped;
}
