import pMap from "p-map";

interface Concurrency {
  /** Most items at once. */
  readonly limit: number;
  readonly signal: AbortSignal;
}

/**
 * Runs `work` on each item. When one item fails, the signal of the others aborts. This returns only when all of them have
 * ended, which p-map alone does not promise: files and locks must not be closed under a task that still writes.
 * @throws the first failure, or the signal's reason.
 */
export async function runConcurrently<T>(
  items: Iterable<T>,
  { limit, signal }: Concurrency,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const eitherSignal = AbortSignal.any([signal, stop.signal]);
  const running = new Set<Promise<unknown>>();
  const start = (item: T): Promise<void> => {
    const task = work(item, eitherSignal);
    const ended: Promise<unknown> = task.then(
      () => running.delete(ended),
      () => running.delete(ended),
    );
    running.add(ended);
    return task;
  };
  try {
    await pMap([...items], (item) => start(item as T), { concurrency: limit, signal });
  } catch (error) {
    stop.abort(error);
    throw error;
  } finally {
    await Promise.all(running);
  }
}
