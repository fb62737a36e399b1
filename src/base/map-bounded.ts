/** As `Promise.all` over `items.map(action)`, with at most so many actions at work at once. */
export async function mapBounded<T, R>(
  items: readonly T[],
  limit: number,
  action: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const entries = items.entries(); // shared: each worker takes the next one
  const work = async () => {
    for (const [index, item] of entries) results[index] = await action(item);
  };
  await Promise.all(Array.from({ length: Math.max(1, limit) }, work));
  return results;
}
