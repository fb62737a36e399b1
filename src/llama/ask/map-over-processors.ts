import { availableParallelism } from "node:os";
import pMap from "p-map";

/** Runs an action on each item: on as many at once as there are processors, since each starts a program. */
export async function mapOverProcessors<T, R>(items: readonly T[], action: (item: T) => Promise<R>): Promise<R[]> {
  return pMap(items, action, { concurrency: availableParallelism() });
}
