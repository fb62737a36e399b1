import { availableParallelism } from "node:os";
import { mapBounded } from "../../base/map-bounded.ts";

/** Runs an action on each item: on as many at once as there are processors, since each starts a program. */
export async function mapOverProcessors<T, R>(items: readonly T[], action: (item: T) => Promise<R>): Promise<R[]> {
  return mapBounded(items, availableParallelism(), action);
}
