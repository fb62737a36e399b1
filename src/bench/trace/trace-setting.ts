import { isListOf, isNumber, isOptional, isShape } from "../../base/text/check-shape.ts";
import type { DraftTrace } from "../../llama/server/draft-trace.ts";
import { isDraftTrace } from "./trace-shape.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import { isMeasured, type Measurement, type Timing } from "../measurement.ts";
import type { RoundKeeper } from "../rounds/run-rounds.ts";
import type { BenchContest } from "../servers/bench-contest.ts";
import { measureCosts } from "../servers/measure-costs.ts";
import { meanMsPerToken } from "../statistics/mean-ms.ts";
import { readTrace } from "./read-trace.ts";

/** What one load of a drafter tells about all its settings. */
export interface TracedSetting {
  /** Undefined where the build does not log drafts. */
  readonly trace: DraftTrace | undefined;
  /** What batches cost both models, in milliseconds; undefined where it cannot be measured. */
  readonly bothMs: readonly number[] | undefined;
  /**
   * What a token of the same answers took without drafting, in milliseconds: each was asked for right after the traced
   * one, since a machine's speed changes within seconds. Undefined where it was not measured.
   */
  readonly plainMs?: number | undefined;
}

const isTraced = isShape<TracedSetting>({
  trace: isOptional(isDraftTrace),
  bothMs: isOptional(isListOf(isNumber)),
  plainMs: isOptional(isNumber),
});

interface TraceOptions {
  readonly contest: BenchContest;
  /** Label of the setting without drafting, which is asked the same where both servers can run at once. */
  readonly pairedWith?: string | undefined;
  readonly prompts: readonly BenchPrompt[];
  /** What the same draft model was traced to propose elsewhere: only the costs are measured then. */
  readonly known?: DraftTrace | undefined;
  readonly keeper: Pick<RoundKeeper, "get" | "put">;
  readonly timing: Timing;
  /** Number of tokens before a measured batch. */
  readonly depth?: number | undefined;
  readonly signal: AbortSignal;
}

/**
 * Asks a traced server each prompt once, and measures its batches. What was traced before is kept.
 * @param label Of the traced setting, in the contest.
 * @throws LlmctlError of the contest; the reason of the signal.
 */
export async function traceSetting(label: string, options: TraceOptions): Promise<TracedSetting> {
  const { contest, keeper, timing, depth, signal } = options;
  const name = `trace of ${label}`;
  const kept = keeper.get(name, isTraced);
  if (kept !== undefined) return kept;
  // Before the batches are measured: their requests are in the log, too.
  const { trace, plainMs } = await tracePrompts(label, options);
  const { server } = await contest.server(label, signal);
  const traced = { trace, plainMs, bothMs: await measureCosts(server, { timing, depth, signal }) };
  await keeper.put(name, traced);
  return traced;
}

/** @returns nothing for a build without such a log: the proof of its drafting would be in it. */
async function tracePrompts(label: string, options: TraceOptions): Promise<Pick<TracedSetting, "trace" | "plainMs">> {
  const { contest, prompts, known, pairedWith, timing, signal } = options;
  const { server: first } = await contest.server(label, signal);
  const proved = await readTrace(first.logPath);
  if (proved === undefined) return { trace: undefined };
  const isPaired = pairedWith !== undefined && contest.capacity > 1;
  const plain: Measurement[] = [];
  for (const prompt of prompts) {
    if (known === undefined) await contest.ask(label, [prompt], signal);
    const [result] = isPaired ? await contest.ask(pairedWith, [prompt], signal) : [];
    if (isMeasured(result)) plain.push(result);
  }
  const { server: last } = await contest.server(label, signal);
  const trace = known ?? (await readTrace(last.logPath));
  return {
    trace: trace && withoutProof(trace, last === first && known === undefined ? proved : undefined),
    plainMs: meanMsPerToken(plain, timing),
  };
}

/** Without the request that has proved the drafting, and without answers of one token, which draft nothing. */
function withoutProof(trace: DraftTrace, proved: DraftTrace | undefined): DraftTrace {
  const others = new Set(proved?.answers.map(({ task }) => task));
  const answers = trace.answers.filter(({ task, cycles }) => cycles.length > 0 && !others.has(task));
  return { ...trace, answers };
}
