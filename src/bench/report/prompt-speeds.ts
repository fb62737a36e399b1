import type { BenchReport } from "../bench-report.ts";
import { isMeasured, type Measurement, msPerToken, type Round } from "../measurement.ts";

/** What a prompt showed about two settings. */
export interface PromptSpeeds {
  readonly id: string;
  readonly kind: string;
  readonly excerpt: string;
  /** Tokens a second, the geometric mean over the rounds that measured both; null where none did. */
  readonly speeds: readonly [number, number] | null;
  /** Number of those rounds. */
  readonly rounds: number;
  /** Number of requests that failed. */
  readonly failed: number;
}

type Measured = Pick<BenchReport, "prompts" | "rounds" | "timing">;

/** The speeds of each prompt, in the order of the report. */
export function promptSpeeds({ prompts, rounds, timing }: Measured, labels: readonly [string, string]): PromptSpeeds[] {
  const byPrompt = new Map(prompts.map(({ id }) => [id, [] as Round[]]));
  for (const round of rounds) byPrompt.get(round.promptId)?.push(round);
  return prompts.map(({ id, kind, excerpt }) => {
    const own = byPrompt.get(id) ?? [];
    const pairs = own.flatMap(({ results }) => {
      const [first, second] = labels.map((label) => speedOf(results[label], timing));
      return first === undefined || second === undefined ? [] : [{ first, second }];
    });
    const first = geometricMean(pairs.map((pair) => pair.first));
    const second = geometricMean(pairs.map((pair) => pair.second));
    return {
      id,
      kind,
      excerpt,
      speeds: first === null || second === null ? null : [first, second],
      rounds: pairs.length,
      failed: own.flatMap(({ results }) => labels.map((label) => results[label])).filter(hasFailed).length,
    };
  });
}

function speedOf(result: Round["results"][string] | undefined, timing: Measured["timing"]): number | undefined {
  const ms = isMeasured(result) ? msPerToken(result, timing) : undefined;
  return ms === undefined ? undefined : 1000 / ms;
}

function hasFailed(result: Round["results"][string] | undefined): boolean {
  return result !== undefined && !isMeasured(result);
}

/** Null for an empty list. */
export function geometricMean(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** All measurements of a setting. */
export function measurementsOf(rounds: readonly Round[], label: string): Measurement[] {
  return rounds.map(({ results }) => results[label]).filter(isMeasured);
}
