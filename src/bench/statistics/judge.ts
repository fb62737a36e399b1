import type { Estimate, Verdict } from "../estimate.ts";
import type { Round } from "../measurement.ts";
import {
  type Comparison,
  estimatePrompts,
  fewestPrompts,
  type PromptRatios,
  speedRatios,
  splitVariance,
} from "./estimate-ratio.ts";
import { meanOf, tQuantile } from "./interval.ts";

/** Two speeds within ± 2 % are the same for a user, and an interval that narrow needs no more measurements. */
export const equalWithin = 0.02;

/** The half of an interval, as a share: 0.09 for ± 9 %. */
export function spreadOf({ low, high }: Estimate): number {
  return Math.sqrt(high / low) - 1;
}

/**
 * What the rounds say about the speed of the second setting over that of the first. Where they say nothing: how much
 * more time, or, where prompts differ too much for that, how many more prompts would probably show a difference or
 * its absence.
 * @param elapsedMs What the rounds took.
 */
export function judge(rounds: readonly Round[], comparison: Comparison, elapsedMs: number): Verdict {
  const ratios = speedRatios(rounds, comparison);
  const estimate = estimatePrompts(ratios);
  if (estimate === undefined) return { kind: "unknown", estimate, ...needMore(ratios, elapsedMs) };
  if (estimate.low >= 1 / (1 + equalWithin) && estimate.high <= 1 + equalWithin) return { kind: "equal", estimate };
  if (estimate.low > 1) return { kind: "pays", estimate };
  if (estimate.high < 1) return { kind: "loses", estimate };
  return { kind: "unknown", estimate, ...needMore(ratios, elapsedMs) };
}

type More = Pick<Extract<Verdict, { kind: "unknown" }>, "moreMs" | "morePrompts">;

/** So many times what has been measured is more than anybody waits for, if other prompts do it sooner. */
const longWait = 20;

function needMore(ratios: readonly PromptRatios[], elapsedMs: number): More {
  const prompts = ratios.length;
  if (prompts === 0 || elapsedMs <= 0) return { moreMs: undefined, morePrompts: undefined };
  const passes = meanOf(ratios.map(({ length }) => length));
  const wanted = findPasses(ratios);
  const times = wanted === undefined ? Number.POSITIVE_INFINITY : Math.max(wanted - passes, 1) / passes;
  const moreMs = times * elapsedMs;
  if (times <= longWait || prompts < fewestPrompts) return { moreMs, morePrompts: undefined };
  const morePrompts = findPrompts(ratios) - prompts;
  const isSooner = morePrompts * (elapsedMs / prompts) < moreMs;
  return isSooner ? { moreMs: undefined, morePrompts } : { moreMs, morePrompts: undefined };
}

/** The half width, in logarithms, that would show a difference of this size, or that there is none. */
function neededHalf(ratios: readonly PromptRatios[]): number {
  const size = Math.abs(meanOf(ratios.map(meanOf)));
  return Math.max(size, Math.log(1 + equalWithin) - size);
}

/** Passes of the same prompts that would do; undefined where the prompts differ too much from each other. */
function findPasses(ratios: readonly PromptRatios[]): number | undefined {
  const prompts = ratios.length;
  const { between, within } = splitVariance(ratios);
  // With few prompts nothing is said about others, so their differences do not count.
  const spread = prompts < fewestPrompts ? 0 : between;
  const quantile = tQuantile(prompts < fewestPrompts ? 30 : prompts - 1);
  const left = prompts * (neededHalf(ratios) / quantile) ** 2 - spread;
  return left > 0 ? within / left : undefined;
}

/** Number of prompts, with as many passes as now, that would do. */
function findPrompts(ratios: readonly PromptRatios[]): number {
  const { between, within } = splitVariance(ratios);
  const variance = between + within / meanOf(ratios.map(({ length }) => length));
  const needed = neededHalf(ratios);
  let prompts = Math.max(ratios.length + 1, Math.floor(variance / needed ** 2));
  while (tQuantile(prompts - 1) * Math.sqrt(variance / prompts) > needed) prompts += Math.ceil(prompts / 50);
  return prompts;
}
