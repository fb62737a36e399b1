import type { StepCosts } from "../../supervisor/launch.ts";

/**
 * A step reads the whole cache, so it takes longer the longer the context is. 1024 tokens more are some 3 % of the
 * bytes of a step of an 8B model in 4 bits (131 MB of cache beside 4.9 GB of weights).
 */
const reachTokens = 1024;

/** About the length of the context in a proof request, with its answer. */
export const proofContextTokens = 32;

/**
 * The time a token without a draft at this length of the context: on a straight line between the two nearest known
 * lengths. Up to 1024 tokens beyond them the nearest one counts.
 * @returns milliseconds; undefined where it is not known.
 */
export function findStepMs(known: StepCosts["stepMs"], contextTokens: number): number | undefined {
  let below: StepCosts["stepMs"][number] | undefined;
  let above: StepCosts["stepMs"][number] | undefined;
  for (const point of known) {
    const isBelow = point.contextTokens <= contextTokens;
    if (isBelow && (below === undefined || point.contextTokens > below.contextTokens)) below = point;
    if (!isBelow && (above === undefined || point.contextTokens < above.contextTokens)) above = point;
  }
  if (below !== undefined && above !== undefined) {
    const share = (contextTokens - below.contextTokens) / (above.contextTokens - below.contextTokens);
    return below.ms + share * (above.ms - below.ms);
  }
  const nearest = below ?? above;
  const isNear = nearest !== undefined && Math.abs(nearest.contextTokens - contextTokens) <= reachTokens;
  return isNear ? nearest.ms : undefined;
}
