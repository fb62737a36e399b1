import { type Clock, systemClock } from "../../base/clock.ts";
import { LlmctlError } from "../../base/errors.ts";
import type { OnBenchEvent } from "../bench-event.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import type { BenchReport } from "../bench-report.ts";
import type { FailedRequest, Round } from "../measurement.ts";
import {
  type Contest,
  type Contestant,
  isWhole,
  type RoundKeeper,
  type RoundsEnd,
  runRounds,
} from "../rounds/run-rounds.ts";
import { type Comparison, estimateRatio } from "../statistics/estimate-ratio.ts";
import { equalWithin, spreadOf } from "../statistics/judge.ts";
import { formatEstimate } from "../number-words.ts";

export interface MeasurePairOptions {
  readonly comparison: Comparison;
  readonly contestants: readonly Contestant[];
  readonly prompts: readonly BenchPrompt[];
  readonly concurrency: number;
  readonly isInterleaved: boolean;
  readonly contest: Contest;
  readonly keeper: RoundKeeper;
  readonly limitMs: number;
  readonly signal: AbortSignal;
  readonly onEvent: OnBenchEvent;
  readonly clock?: Clock;
}

export interface MeasuredPair {
  readonly end: BenchReport["end"];
  readonly elapsedMs: number;
  /** Why it ended early, for people. */
  readonly notes: readonly string[];
}

/**
 * Measures two settings until the difference is known to ± 2 %, or the time is over.
 * @throws LlmctlError `bench-nothing-measured`; of a server that cannot be started, where nothing was measured before.
 */
export async function measurePair(options: MeasurePairOptions): Promise<MeasuredPair> {
  const { comparison, prompts, keeper, limitMs, clock = systemClock } = options;
  const startedMs = clock.nowMs();
  const elapsed = () => clock.nowMs() - startedMs;
  const onRound = () => {
    const soFar = describeSoFar(keeper.rounds, comparison);
    options.onEvent({ kind: "round", doneMs: Math.min(elapsed(), limitMs), limitMs, soFar });
  };
  const isEnough = (rounds: readonly Round[]) => isPrecise(rounds, prompts, comparison) || isHopeless(rounds, prompts);
  const mostPasses = Number.POSITIVE_INFINITY;
  try {
    const end = await runRounds({ ...options, mostPasses, isEnough, onRound });
    if (end !== "interrupted") expectMeasured(keeper.rounds);
    return { end: reportedEnds[end], elapsedMs: elapsed(), notes: [] };
  } catch (error) {
    if (!(error instanceof LlmctlError) || error.code !== "bench-server-died" || !keeper.rounds.some(isWhole))
      throw error;
    return { end: "server-died", elapsedMs: elapsed(), notes: [error.message] };
  }
}

const reportedEnds = {
  enough: "precise",
  "time-over": "time-over",
  "passes-done": "prompts-used-up",
  interrupted: "interrupted",
} as const satisfies Record<RoundsEnd, BenchReport["end"]>;

/** Not before each prompt was asked once: the first ones may be of one kind. */
function isPrecise(rounds: readonly Round[], prompts: readonly BenchPrompt[], comparison: Comparison): boolean {
  if (rounds.length < prompts.length) return false;
  const estimate = estimateRatio(rounds, comparison);
  return estimate !== undefined && spreadOf(estimate) <= equalWithin;
}

/** No request of a whole pass has succeeded, such as when all prompts are longer than the context. */
function isHopeless(rounds: readonly Round[], prompts: readonly BenchPrompt[]): boolean {
  return rounds.length >= prompts.length && !rounds.some(isWhole);
}

function expectMeasured(rounds: readonly Round[]): void {
  if (rounds.some(isWhole)) return;
  const failed = rounds.flatMap(({ results }) => Object.values(results)).find((result) => "error" in result);
  throw noAnswers("no prompt was answered by both servers", failed);
}

/** The error of a measurement without a single answer. @param failed Says why. */
export function noAnswers(message: string, failed: FailedRequest | undefined): LlmctlError {
  return new LlmctlError("bench-nothing-measured", message, {
    exit: "failed",
    ...(failed === undefined ? {} : { at: failed.error }),
    fix: "give other prompts with --prompts, or raise ctx_size of the profile",
  });
}

function describeSoFar(rounds: readonly Round[], comparison: Comparison): string {
  const estimate = estimateRatio(rounds, comparison);
  const made = rounds.length === 1 ? "1 round" : `${rounds.length} rounds`;
  return estimate === undefined ? made : `${formatEstimate(estimate)} after ${made}`;
}
