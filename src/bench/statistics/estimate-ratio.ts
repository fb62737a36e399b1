import type { BenchPrompt } from "../bench-prompt.ts";
import type { Estimate } from "../estimate.ts";
import { isMeasured, type Measurement, msPerToken, type Round, type Timing } from "../measurement.ts";
import { estimateFrom, meanOf, tQuantile, varianceOf } from "./interval.ts";

/** Which settings are compared: labels of rounds. */
export interface Comparison {
  readonly first: string;
  readonly second: string;
  readonly timing: Timing;
}

/** The logarithms of ratios of one prompt, one for each pass. Never empty. */
export type PromptRatios = readonly number[];

/** Fewer prompts cannot tell how much prompts differ. */
export const fewestPrompts = 4;

/**
 * The speed of the second setting over that of the first: the geometric mean over prompts, of each prompt that over its
 * passes.
 * @returns undefined when no interval can be given.
 * @see estimatePrompts for the interval
 */
export function estimateRatio(rounds: readonly Round[], comparison: Comparison): Estimate | undefined {
  return estimatePrompts(speedRatios(rounds, comparison));
}

/** The same for each kind of prompt that has enough of them. */
export function estimateByKind(
  rounds: readonly Round[],
  prompts: readonly Pick<BenchPrompt, "id" | "kind">[],
  comparison: Comparison,
): Record<string, Estimate> {
  const kinds = new Map(prompts.map(({ id, kind }) => [id, kind]));
  const estimates = [...new Set(kinds.values())].flatMap((kind) => {
    const its = rounds.filter(({ promptId }) => kinds.get(promptId) === kind);
    const estimate = estimateRatio(its, comparison);
    return estimate === undefined ? [] : [[kind, estimate] as const];
  });
  return Object.fromEntries(estimates);
}

/** Time to the first token of the second setting over that of the first: above 1 it is slower. */
export function estimateFirstToken(
  rounds: readonly Round[],
  { first, second }: Pick<Comparison, "first" | "second">,
): Estimate | undefined {
  const wait = ({ firstTokenMs }: Measurement) => (firstTokenMs > 0 ? firstTokenMs : undefined);
  return estimatePrompts(logRatios(rounds, { top: second, bottom: first, value: wait }));
}

/** By prompt: above 0 the second setting is faster. */
export function speedRatios(rounds: readonly Round[], { first, second, timing }: Comparison): PromptRatios[] {
  const time = (measurement: Measurement) => msPerToken(measurement, timing);
  return logRatios(rounds, { top: first, bottom: second, value: time });
}

interface RatioOf {
  readonly top: string;
  readonly bottom: string;
  readonly value: (measurement: Measurement) => number | undefined;
}

function logRatios(rounds: readonly Round[], { top, bottom, value }: RatioOf): PromptRatios[] {
  const ratios = new Map<string, number[]>();
  for (const { promptId, results } of rounds) {
    const [over, under] = [results[top], results[bottom]].map((one) => (isMeasured(one) ? value(one) : undefined));
    if (over === undefined || under === undefined) continue;
    ratios.set(promptId, [...(ratios.get(promptId) ?? []), Math.log(over / under)]);
  }
  return [...ratios.values()];
}

/**
 * The mean over prompts with its 95 % interval.
 *
 * From four prompts on the interval tells what to expect of prompts like these: a bootstrap over prompts. With fewer it
 * only tells about these prompts themselves: a t interval from how much their passes differ, so two passes are needed.
 */
export function estimatePrompts(ratios: readonly PromptRatios[]): Estimate | undefined {
  const means = ratios.map(meanOf);
  const prompts = ratios.length;
  if (prompts >= fewestPrompts) return asEstimate(estimateFrom(means), prompts);
  const { within, degrees } = splitVariance(ratios);
  if (degrees === 0) return undefined;
  const mean = meanOf(means);
  const variance = ratios.reduce((sum, passes) => sum + within / passes.length, 0) / prompts ** 2;
  const half = tQuantile(degrees) * Math.sqrt(variance);
  return asEstimate({ mean, low: mean - half, high: mean + half }, prompts);
}

function asEstimate(
  { mean, low, high }: { readonly mean: number; readonly low: number; readonly high: number },
  prompts: number,
): Estimate {
  return { ratio: Math.exp(mean), low: Math.exp(low), high: Math.exp(high), prompts };
}

/** Where the spread of ratios comes from. */
export interface VarianceSplit {
  /** Between the true ratios of prompts. */
  readonly between: number;
  /** Between the passes of a prompt. */
  readonly within: number;
  /** Number of passes beyond the first one of each prompt; 0: the two cannot be told apart, and all is `within`. */
  readonly degrees: number;
}

export function splitVariance(ratios: readonly PromptRatios[]): VarianceSplit {
  const total = varianceOf(ratios.map(meanOf));
  const degrees = ratios.reduce((sum, passes) => sum + passes.length - 1, 0);
  if (degrees === 0) return { between: 0, within: total, degrees };
  const within = ratios.reduce((sum, passes) => sum + (passes.length - 1) * varianceOf(passes), 0) / degrees;
  const ofMeans = within * meanOf(ratios.map((passes) => 1 / passes.length));
  return { between: Math.max(0, total - ofMeans), within, degrees };
}

/** Mean share of time that the servers of the rounds waited for a processor, 0..1; null: unknown. */
export function summarizeWaitShare(rounds: readonly Round[]): number | null {
  const shares = rounds.flatMap(({ waitShare }) => (waitShare === null ? [] : [waitShare]));
  return shares.length === 0 ? null : meanOf(shares);
}
