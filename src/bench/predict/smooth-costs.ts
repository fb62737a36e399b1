/**
 * The nearest curve that never falls, by least squares: where a larger batch seems cheaper, the noise was larger than
 * the growth, and both get their mean.
 * @see Barlow et al., Statistical Inference under Order Restrictions (1972): pool adjacent violators
 */
export function smoothCosts(costs: readonly number[]): number[] {
  const pools: { mean: number; count: number }[] = [];
  for (const cost of costs) {
    let pool = { mean: cost, count: 1 };
    for (let last = pools.at(-1); last !== undefined && last.mean > pool.mean; last = pools.at(-1)) {
      pools.pop();
      const count = last.count + pool.count;
      pool = { mean: (last.mean * last.count + pool.mean * pool.count) / count, count };
    }
    pools.push(pool);
  }
  return pools.flatMap(({ mean, count }) => Array.from({ length: count }, () => mean));
}
