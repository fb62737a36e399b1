/**
 * Runs tasks at once. When one fails the others are told to stop, and their end is waited for.
 * @throws the first failure.
 */
async function runTogether(tasks: readonly ((signal: AbortSignal) => Promise<void>)[], outer: AbortSignal): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([outer, stop.signal]);
  const running = tasks.map(async (task) => {
    try {
      await task(signal);
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  });
  try {
    await Promise.all(running);
  } finally {
    await Promise.allSettled(running);
  }
}

/** Runs `count` times at once `work` on the first of the items that are left, until none is. */
export async function workThrough<T>(
  items: Iterable<T>,
  { count, signal }: { readonly count: number; readonly signal: AbortSignal },
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const left = [...items];
  const worker = async (stop: AbortSignal) => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item, stop);
  };
  await runTogether(
    Array.from({ length: Math.min(count, left.length) }, () => worker),
    signal,
  );
}

/** A bounded number of places; who comes first is let in first. */
export class Places {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async use<T>(action: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await action();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
