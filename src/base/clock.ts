/** Time as a parameter: with a fake one, an hour takes a test no time. */
export interface Clock {
  /** Monotonic; only differences mean something. */
  nowMs(): number;
  /** @throws the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** @returns a function that cancels the timer, also after it has run. */
  setTimer: SetTimer;
}

type SetTimer = (ms: number, run: () => void) => () => void;

/** The real time. It looks up the global timers at each call, so that fake timers of a test may replace them. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  sleep: (ms, signal) => sleepBy(systemClock.setTimer, ms, signal),
  setTimer: (ms, run) => {
    const timer = setTimeout(run, ms);
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
