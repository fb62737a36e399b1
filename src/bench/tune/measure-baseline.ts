import { isListOf, isNumber, isOptional, isShape } from "../../base/text/check-shape.ts";
import { readContextTokens, tokenize, tokenizePrompt } from "../../llama/server/prompt-tokens.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import { type FailedRequest, isMeasured, type Measurement, type Timing } from "../measurement.ts";
import type { AnsweredPrompt } from "../predict/ngram-replay.ts";
import type { RoundKeeper } from "../rounds/run-rounds.ts";
import { noAnswers } from "../run/measure-pair.ts";
import { isCount } from "../round-shape.ts";
import type { BenchContest } from "../servers/bench-contest.ts";
import { measureCosts } from "../servers/measure-costs.ts";
import { meanOf } from "../statistics/interval.ts";
import { meanMsPerToken } from "../statistics/mean-ms.ts";

/** What one load without drafting tells. */
export interface Baseline {
  /** What batches cost the target, in milliseconds; empty where they cannot be measured. */
  readonly targetMs: readonly number[];
  /** What a token of the answers took, in milliseconds; undefined where it was not measured. */
  readonly stepMs?: number | undefined;
  /** What was asked and answered. Empty where the requests failed. */
  readonly texts: readonly AnsweredPrompt[];
}

interface BaselineOptions {
  readonly label: string;
  readonly contest: BenchContest;
  /** What the server of a label has answered last, by prompt. */
  readonly answers: ReadonlyMap<string, string>;
  readonly prompts: readonly BenchPrompt[];
  readonly keeper: Pick<RoundKeeper, "get" | "put">;
  readonly timing: Timing;
  readonly maxTokens: number;
  readonly signal: AbortSignal;
}

const keptName = "baseline";

const isTokens = isListOf(isCount);
const isBaseline = isShape<Baseline>({
  targetMs: isListOf(isNumber),
  stepMs: isOptional(isNumber),
  texts: isListOf(isShape<AnsweredPrompt>({ prompt: isTokens, answer: isTokens, room: isCount })),
});

/**
 * Asks the server without drafting every prompt once, and measures its batches. What was measured before is kept.
 * @throws LlmctlError `bench-nothing-measured` where no prompt was answered; of the contest.
 */
export async function measureBaseline(options: BaselineOptions): Promise<Baseline> {
  const { label, contest, prompts, keeper, timing, maxTokens, signal } = options;
  const kept = keeper.get(keptName, isBaseline);
  if (kept !== undefined) return kept;
  const measured: { readonly prompt: BenchPrompt; readonly measurement: Measurement }[] = [];
  let failed: FailedRequest | undefined;
  for (const prompt of prompts) {
    const [measurement] = await contest.ask(label, [prompt], signal);
    if (isMeasured(measurement)) measured.push({ prompt, measurement });
    else failed ??= measurement;
  }
  if (measured.length === 0) throw noAnswers("no prompt was answered", failed);
  const { server } = await contest.server(label, signal);
  const { endpoint } = server;
  const context = await readContextTokens(endpoint, signal);
  const texts: AnsweredPrompt[] = [];
  for (const { prompt } of measured) {
    const tokens = await tokenizePrompt(endpoint, prompt, signal);
    const answer = await tokenize(endpoint, options.answers.get(prompt.id) ?? "", signal);
    texts.push({ prompt: tokens, answer, room: Math.max(0, Math.min(maxTokens, context - tokens.length)) });
  }
  const targetMs = (await measureCosts(server, { timing, signal, depth: findDepth(texts) })) ?? [];
  const measurements = measured.map(({ measurement }) => measurement);
  const baseline = { targetMs, stepMs: meanMsPerToken(measurements, timing), texts };
  await keeper.put(keptName, baseline);
  return baseline;
}

/** The mean number of tokens before those of the answers; undefined without answers. */
export function findDepth(texts: readonly AnsweredPrompt[]): number | undefined {
  if (texts.length === 0) return undefined;
  return Math.round(meanOf(texts.map(({ prompt, answer }) => prompt.length + answer.length / 2)));
}
