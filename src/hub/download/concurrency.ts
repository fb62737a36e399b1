/**
 * Runs tasks at once. When one fails the others are told to stop, and their end is waited for.
 * @throws the first failure.
 */
async function runTogether(
  tasks: readonly ((signal: AbortSignal) => Promise<void>)[],
  outer: AbortSignal,
): Promise<void> {
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

/**
 * A bounded number of places, each with something of its own to work with, made when first used; who comes first is let
 * in first.
 */
export class Places<T> {
  readonly #make: () => T;
  readonly #free: T[] = [];
  readonly #waiting: ((place: T) => void)[] = [];
  #unmade: number;

  constructor(count: number, make: () => T) {
    this.#unmade = count;
    this.#make = make;
  }

  async use<R>(action: (place: T) => Promise<R>): Promise<R> {
    const place = await this.#take();
    try {
      return await action(place);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free.push(place);
      else next(place);
    }
  }

  async #take(): Promise<T> {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#unmade === 0) return new Promise<T>((resolve) => this.#waiting.push(resolve));
    this.#unmade -= 1;
    return this.#make();
  }
}
