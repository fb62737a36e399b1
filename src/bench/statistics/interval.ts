/** A mean with its 95 % interval. */
export interface MeanInterval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

const draws = 2000;
/** Any number does; the same one each time makes the same values give the same interval. */
const seed = 20_261_128;
/** The 97.5 % quantile of the normal distribution. */
const normalQuantile = 1.959964;

/**
 * The 95 % interval of a mean, by bootstrap: the values are drawn again, with replacement, two thousand times.
 *
 * Of few values the plain percentiles are too narrow: they know the spread of the values as if they were all there
 * are, and take it for exact. So their distances from the mean are stretched by sqrt(n / (n - 1)) and by the t
 * quantile over the normal one. In a simulation (1,500 runs each) the interval held the true mean of normal, skewed
 * (exponential) and two-humped values in this share of the runs:
 *
 *     values         4        8        12       40
 *     normal         94.5 %   94.2 %   95.3 %   94.5 %
 *     exponential    86.5 %   90.7 %   89.9 %   91.5 %
 *     two-humped     88.3 %   96.1 %   96.7 %   94.6 %
 *
 * @param unordered At least two values.
 * @see Hesterberg, What Teachers Should Know About the Bootstrap, 2015 (expanded percentiles)
 */
export function estimateFrom(unordered: readonly number[]): MeanInterval {
  // The order in which prompts were asked must not matter.
  const values = unordered.toSorted((a, b) => a - b);
  const size = values.length;
  const mean = meanOf(values);
  const random = createRandom(seed);
  const means = new Float64Array(draws);
  for (let draw = 0; draw < draws; draw += 1) {
    let sum = 0;
    for (let index = 0; index < size; index += 1) sum += values[Math.floor(random() * size)] ?? 0;
    means[draw] = sum / size;
  }
  means.sort();
  const stretch = Math.sqrt(size / (size - 1)) * (tQuantile(size - 1) / normalQuantile);
  return {
    mean,
    low: mean - stretch * (mean - quantile(means, 0.025)),
    high: mean + stretch * (quantile(means, 0.975) - mean),
  };
}

export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Of a sample; 0 for a single value. */
export function varianceOf(values: readonly number[]): number {
  const mean = meanOf(values);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return values.length < 2 ? 0 : squares / (values.length - 1);
}

/** The middle one of at least one value. */
export function medianOf(values: readonly number[]): number {
  return quantile(Float64Array.from(values).sort(), 0.5);
}

function quantile(sorted: Float64Array, share: number): number {
  const place = (sorted.length - 1) * share;
  const below = sorted[Math.floor(place)] ?? 0;
  return below + (place % 1) * ((sorted[Math.ceil(place)] ?? below) - below);
}

/** The series below is wrong by more than a hundredth for these. */
const fewDegrees = [12.706, 4.303, 3.182];

/**
 * The 97.5 % quantile of the t distribution.
 * @see Abramowitz and Stegun, 26.7.5
 */
export function tQuantile(degrees: number): number {
  const z = normalQuantile;
  const exact = fewDegrees[degrees - 1];
  if (exact !== undefined) return exact;
  return (
    z +
    (z ** 3 + z) / (4 * degrees) +
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * degrees ** 2) +
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * degrees ** 3)
  );
}

/** Numbers from 0 to 1 in an order that the seed decides: mulberry32, which passes the tests that a bootstrap needs. */
function createRandom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
