/** Time as a parameter: with a fake one, an hour takes a test no time. */
export interface Clock {
  /** Monotonic; only differences mean something. */
  readonly nowMs: () => number;
  /** @throws the signal's reason when it is aborted first. */
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** @returns a function that cancels the timer, also after it has run. */
  readonly setTimer: SetTimer;
}

/** Node takes no longer timer, 25 days: a longer one would run at once. */
export const longestTimerMs = 2 ** 31 - 1;

/** Of a time limit that people set: 0 is none. */
export function limitOf(ms: number): number {
  return ms === 0 ? Infinity : ms;
}

type SetTimer = (ms: number, run: () => void) => () => void;

/** The real time. It looks up the global timers at each call, so that fake timers of a test may replace them. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  sleep: (ms, signal) => sleepBy(systemClock.setTimer, ms, signal),
  setTimer: (ms, run) => {
    const timer = setTimeout(run, Math.min(ms, longestTimerMs));
    return () => clearTimeout(timer);
  },
};

/** The `sleep` of a clock, made of its timers. */
export async function sleepBy(setTimer: SetTimer, ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve) => {
    const end = () => {
      cancel();
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const cancel = setTimer(ms, end);
    signal?.addEventListener("abort", end);
  });
  signal?.throwIfAborted();
}
