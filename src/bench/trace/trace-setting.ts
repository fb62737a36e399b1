import { isListOf, isNumber, isOptional, isShape } from "../../base/text/check-shape.ts";
import type { DraftTrace } from "../../llama/server/draft-trace.ts";
import { isDraftTrace } from "./trace-shape.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import { isMeasured, msPerToken, type Timing } from "../measurement.ts";
import type { RoundKeeper } from "../rounds/run-rounds.ts";
import type { BenchContest } from "../servers/bench-contest.ts";
import { measureCosts } from "../servers/measure-costs.ts";
import { meanOf } from "../statistics/interval.ts";
import { readTrace } from "./read-trace.ts";

/** What one load of a drafter tells about all its settings. */
export interface TracedSetting {
  /** Undefined where the build does not log drafts. */
  readonly trace: DraftTrace | undefined;
  /** What batches cost both models, in milliseconds; undefined where it cannot be measured. */
  readonly bothMs: readonly number[] | undefined;
  /** What tokens of the traced answers took; undefined where nobody asked for it, or nothing was measured. */
  readonly paired?: PairedTimes | undefined;
}

/** Two servers answered the same prompts, one right after the other. Milliseconds a token, geometric means. */
export interface PairedTimes {
  readonly plainMs: number;
  readonly tracedMs: number;
}

const isTraced = isShape<TracedSetting>({
  trace: isOptional(isDraftTrace),
  bothMs: isOptional(isListOf(isNumber)),
  paired: isOptional(isShape<PairedTimes>({ plainMs: isNumber, tracedMs: isNumber })),
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
  const { trace, paired } = await tracePrompts(label, options);
  const { server } = await contest.server(label, signal);
  const traced = { trace, paired, bothMs: await measureCosts(server, { timing, depth, signal }) };
  await keeper.put(name, traced);
  return traced;
}

type TracedPrompts = Pick<TracedSetting, "trace" | "paired">;

/** @returns nothing for a build without such a log: the proof of its drafting would be in it. */
async function tracePrompts(label: string, options: TraceOptions): Promise<TracedPrompts> {
  const { contest, prompts, known, signal } = options;
  const { server: first } = await contest.server(label, signal);
  const proved = await readTrace(first.logPath);
  if (proved === undefined) return { trace: undefined, paired: undefined };
  const pairs: PairedTimes[] = [];
  for (const prompt of prompts) pairs.push(...(await askBoth(label, prompt, options)));
  const { server: last } = await contest.server(label, signal);
  const trace = await readTrace(last.logPath);
  const paired =
    pairs.length === 0
      ? undefined
      : {
          plainMs: Math.exp(meanOf(pairs.map(({ plainMs }) => Math.log(plainMs)))),
          tracedMs: Math.exp(meanOf(pairs.map(({ tracedMs }) => Math.log(tracedMs)))),
        };
  return { trace: known ?? (trace && withoutProof(trace, last === first ? proved : undefined)), paired };
}

/** @returns nothing where it was not measured on both. */
async function askBoth(label: string, prompt: BenchPrompt, options: TraceOptions): Promise<PairedTimes[]> {
  const { contest, pairedWith, timing, signal } = options;
  const ask = async (which: string) => {
    const [result] = await contest.ask(which, [prompt], signal);
    return isMeasured(result) ? msPerToken(result, timing) : undefined;
  };
  const tracedMs = await ask(label);
  const plainMs = pairedWith === undefined || contest.capacity < 2 ? undefined : await ask(pairedWith);
  return plainMs === undefined || tracedMs === undefined ? [] : [{ plainMs, tracedMs }];
}

/** Without the request that has proved the drafting, and without answers of one token, which draft nothing. */
function withoutProof(trace: DraftTrace, proved: DraftTrace | undefined): DraftTrace {
  const others = new Set(proved?.answers.map(({ task }) => task));
  const answers = trace.answers.filter(({ task, cycles }) => cycles.length > 0 && !others.has(task));
  return { ...trace, answers };
}
