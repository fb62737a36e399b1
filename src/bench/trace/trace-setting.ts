import { isListOf, isNumber, isOptional, isShape } from "../../base/text/check-shape.ts";
import type { DraftTrace } from "../../llama/server/draft-trace.ts";
import { isDraftTrace } from "./trace-shape.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import type { Timing } from "../measurement.ts";
import type { RoundKeeper } from "../rounds/run-rounds.ts";
import type { BenchContest } from "../servers/bench-contest.ts";
import { measureCosts } from "../servers/measure-costs.ts";
import { readTrace } from "./read-trace.ts";

/** What one load of a drafter tells about all its settings. */
export interface TracedSetting {
  /** Undefined where the build does not log drafts. */
  readonly trace: DraftTrace | undefined;
  /** What batches cost both models, in milliseconds; undefined where it cannot be measured. */
  readonly bothMs: readonly number[] | undefined;
}

const isTraced = isShape<TracedSetting>({
  trace: isOptional(isDraftTrace),
  bothMs: isOptional(isListOf(isNumber)),
});

interface TraceOptions {
  readonly contest: BenchContest;
  readonly prompts: readonly BenchPrompt[];
  readonly keeper: Pick<RoundKeeper, "get" | "put">;
  readonly timing: Timing;
  readonly signal: AbortSignal;
}

/**
 * Asks a traced server each prompt once, and measures its batches. What was traced before is kept.
 * @param label Of the traced setting, in the contest.
 * @throws LlmctlError of the contest; the reason of the signal.
 */
export async function traceSetting(label: string, options: TraceOptions): Promise<TracedSetting> {
  const { contest, prompts, keeper, timing, signal } = options;
  const name = `trace of ${label}`;
  const kept = keeper.get(name, isTraced);
  if (kept !== undefined) return kept;
  for (const prompt of prompts) await contest.ask(label, [prompt], signal);
  const { server } = await contest.server(label, signal);
  // Before the batches are measured: their requests are in the log, too.
  const trace = await readTrace(server.logPath);
  const traced = { trace, bothMs: await measureCosts(server, { timing, signal }) };
  await keeper.put(name, traced);
  return traced;
}
