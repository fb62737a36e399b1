import { Random } from "../fuzz/random.ts";

/** Normally distributed values with mean 0 and deviation 1; the same ones for the same seed. */
export function normalNoise(seed: number): () => number {
  const random = new Random(seed);
  const uniform = () => random.below(1_000_000) / 1_000_000;
  // The sum of twelve uniform values has the variance 1, and is normal enough.
  return () => Array.from({ length: 12 }, uniform).reduce((sum, value) => sum + value, -6);
}
