import type { StepCosts } from "../../supervisor/launch.ts";
import { isMeasured, type Round } from "../measurement.ts";
import { medianOf } from "./interval.ts";

/** From here on other programs slow the servers enough to be seen in an interval of ± 2 %: the machine is busy. */
export const busyShare = 0.1;
/** Fewer answers say nothing about how much answers differ. */
const fewestAnswers = 4;
/** The first step of an answer is not like the others. */
const fewestTokens = 16;
/** Between closer lengths noise would decide: 64 tokens more are 0.2 % of a step of an 8B model. */
const leastApart = 64;

interface Step {
  /** In the middle of the answer. */
  readonly contextTokens: number;
  readonly ms: number;
}

/**
 * The time a token of a server that does not draft, at two lengths of the context, by the clock: the medians of the
 * shorter half of its answers and of the longer one. A step is never faster with a longer context: where it seems so,
 * the noise is larger than the difference, and both lengths get the median of all. A server that waits for a processor
 * takes longer: with such a baseline drafting seems to pay more than it does, so rounds of a busy machine do not count.
 * @param label Of the server in the rounds, which it has answered one request at a time.
 * @returns one length where both halves have nearly the same; empty where fewer than four answers count.
 */
export function findStepCosts(rounds: readonly Round[], label: string): StepCosts["stepMs"] {
  const steps = rounds.flatMap((round) => readStep(round, label)).toSorted((a, b) => a.contextTokens - b.contextTokens);
  if (steps.length < fewestAnswers) return [];
  const half = Math.ceil(steps.length / 2);
  const [short, long] = [summarize(steps.slice(0, half)), summarize(steps.slice(half))];
  const all = summarize(steps);
  if (long.contextTokens - short.contextTokens < leastApart) return [all];
  const { ms } = all;
  return short.ms <= long.ms ? [short, long] : [short, long].map(({ contextTokens }) => ({ contextTokens, ms }));
}

function readStep({ results, waitShare }: Round, label: string): Step[] {
  const result = results[label];
  if (!isMeasured(result) || (waitShare ?? 0) >= busyShare) return [];
  const { tokens, generateMs, promptTokens, draftTokens } = result;
  if (tokens < fewestTokens || generateMs <= 0 || draftTokens > 0) return [];
  return [{ contextTokens: promptTokens + tokens / 2, ms: generateMs / tokens }];
}

function summarize(steps: readonly Step[]): Step {
  return {
    contextTokens: Math.round(medianOf(steps.map(({ contextTokens }) => contextTokens))),
    ms: medianOf(steps.map(({ ms }) => ms)),
  };
}
