import { LlmctlError } from "../../base/errors.ts";
import { isShape } from "../../base/text/check-shape.ts";
import { vocabRuleFromFlags } from "../../llama/draft/build-vocab-rule.ts";
import type { PlanSession } from "../../llama/plan/plan-session.ts";
import { wantedLength } from "../../llama/render/draft-flags.ts";
import { findDraftingType, splitDraftingTypes } from "../../profiles/rules/drafting-types.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import type { BenchReport } from "../bench-report.ts";
import type { Timing } from "../measurement.ts";
import type { DraftingCosts } from "../predict/drafting-cost.ts";
import { DraftReplay } from "../predict/replay.ts";
import { predictGrid } from "../predict/speedup-grid.ts";
import { reportChecks } from "../report/report-shape.ts";
import type { RoundKeeper } from "../rounds/run-rounds.ts";
import type { BenchContest } from "../servers/bench-contest.ts";
import { draftShare, measureCosts } from "../servers/measure-costs.ts";
import type { BenchSetting } from "../servers/plan-setting.ts";
import { tracedLength } from "../trace/plan-traced.ts";
import { type TracedSetting, traceSetting } from "../trace/trace-setting.ts";

/** Why drafting is as fast as it is. */
export type MeasuredDrafting = Pick<BenchReport, "acceptedByPosition" | "costs" | "predicted">;

export const nothingMeasured: MeasuredDrafting = { acceptedByPosition: null, costs: null, predicted: null };

interface DraftingOptions {
  readonly plain: BenchSetting;
  readonly drafting: BenchSetting;
  /** The same with a trace; undefined where there is none. */
  readonly traced: BenchSetting | undefined;
  readonly contest: BenchContest;
  readonly prompts: readonly BenchPrompt[];
  readonly keeper: Pick<RoundKeeper, "get" | "put">;
  readonly timing: Timing;
  readonly session: PlanSession;
  readonly signal: AbortSignal;
}

const keptName = "drafting";

const isMeasuredDrafting = isShape<MeasuredDrafting>({
  acceptedByPosition: reportChecks.acceptedByPosition,
  costs: reportChecks.costs,
  predicted: reportChecks.predicted,
});

/** As {@link measureDrafting}, for a comparison that is a result without it: a failure or an interrupt is a note. */
export async function explainDrafting(
  options: DraftingOptions,
): Promise<{ readonly measured: MeasuredDrafting; readonly notes: readonly string[] }> {
  try {
    return { measured: await measureDrafting(options), notes: [] };
  } catch (error) {
    const { aborted } = options.signal;
    if (!aborted && !(error instanceof LlmctlError)) throw error;
    const why = aborted || !(error instanceof LlmctlError) ? "it was interrupted" : error.message;
    return { measured: nothingMeasured, notes: [`what batches cost is not known: ${why}`] };
  }
}

/** Measures which drafted tokens were accepted, what batches cost, and what other lengths of drafts would bring. */
async function measureDrafting(options: DraftingOptions): Promise<MeasuredDrafting> {
  const { plain, drafting, traced, contest, keeper, timing, signal } = options;
  const kept = keeper.get(keptName, isMeasuredDrafting);
  if (kept !== undefined) return kept;
  // First the server that has just answered: its counters are those of the measurement. One that does not run any more
  // has taken them with it.
  const accepted = (await contest.find(drafting.label)?.readAccepted(signal)) ?? null;
  const { server } = await contest.server(plain.label, signal);
  const target = await measureCosts(server, { timing, signal });
  const trace = traced === undefined ? undefined : await traceSetting(traced.label, options);
  const costs = target === undefined ? null : { target, draft: draftCosts(trace, target) };
  const measured = { acceptedByPosition: accepted, costs, predicted: await predict(costs, trace?.trace, options) };
  await keeper.put(keptName, measured);
  return measured;
}

function draftCosts(traced: TracedSetting | undefined, target: readonly number[]): readonly number[] | null {
  return traced?.bothMs === undefined ? null : draftShare(traced.bothMs, target);
}

/** The speedup of every longest draft, with the other keys as the profile has them. */
async function predict(
  costs: BenchReport["costs"],
  trace: TracedSetting["trace"],
  { drafting, session }: DraftingOptions,
): Promise<BenchReport["predicted"]> {
  if (costs === null || costs.draft === null || trace === undefined) return null;
  const { draft } = drafting.profile.values;
  const pMin = (draft && wantedLength(draft, "p_min")) ?? 0;
  const nMin = draft?.n_min ?? 0;
  const lengths = Array.from({ length: tracedLength }, (_, index) => index + 1);
  const all: DraftingCosts = { batches: costs, reevaluates: await findReevaluation(drafting, session) };
  const grid = predictGrid(new DraftReplay(trace), all, { grid: { nMax: lengths, nMin: [nMin], pMin: [pMin] } });
  return grid.map(({ setting, ratio }) => ({ nMax: setting.nMax, ratio }));
}

/**
 * Whether the draft of a build evaluates every checked batch again: it does on the builds that compare vocabularies
 * strictly, unless it is a layer of the target.
 */
export async function findReevaluation({ profile, launch }: BenchSetting, session: PlanSession): Promise<boolean> {
  const { catalogue } = await session.findBuild(profile, "llama-server", launch.env);
  const types = splitDraftingTypes(profile.values.draft?.type ?? "");
  const isInTarget = types.every((type) => findDraftingType(type)?.source === "nextn");
  return vocabRuleFromFlags((flag) => catalogue.has(flag)) === "strict" && !isInTarget;
}
