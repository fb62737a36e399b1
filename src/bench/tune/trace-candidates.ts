import { LlmctlError } from "../../base/errors.ts";
import type { DraftTrace } from "../../llama/server/draft-trace.ts";
import type { DraftingCosts } from "../predict/drafting-cost.ts";
import type { RoundKeeper } from "../rounds/run-rounds.ts";
import { findReevaluation } from "../run/measure-drafting.ts";
import { findWhyInTurns } from "../servers/find-servers-room.ts";
import { draftShare } from "../servers/measure-costs.ts";
import { planTraced } from "../trace/plan-traced.ts";
import { type TracedSetting, traceSetting } from "../trace/trace-setting.ts";
import type { Candidate, TracedCandidate } from "./candidate.ts";
import { findDepth } from "./measure-baseline.ts";
import { predictTraced } from "./predict-candidates.ts";
import type { Search, TuneFindings } from "./search.ts";
import { sweepCandidate } from "./sweep-candidate.ts";

/** The loads that trace the candidates with a model or a layer of their own. */
export async function planTraces({ options }: Search, found: TuneFindings): Promise<TracedCandidate[]> {
  const planned: TracedCandidate[] = [];
  for (const candidate of found.candidates.left.filter(({ source }) => source !== "ngram")) {
    const label = `trace of ${candidate.label}`;
    try {
      const setting = await planTraced(options.profile, candidate.draft, { label, session: options.session });
      if (setting === undefined) found.predictions.push(predictTraced(candidate, { trace: undefined }, undefined));
      else planned.push({ candidate, setting });
    } catch (error) {
      noteUnjudged(candidate, error, found);
    }
  }
  return planned;
}

/** @returns why, for people. @throws what is no LlmctlError. */
function noteUnjudged({ label }: Candidate, error: unknown, { unjudged, notes }: TuneFindings): string {
  if (!(error instanceof LlmctlError)) throw error;
  unjudged.push(label);
  notes.push(`${label}: ${error.message}`);
  return error.message;
}

/** Where a traced server and the one without drafting fit together, their costs are measured at the same time. */
export async function makeRoomForTwo(
  traced: readonly TracedCandidate[],
  { options, none, contest }: Search,
): Promise<void> {
  for (const { setting } of traced) if ((await findWhyInTurns([none, setting], options.session)) !== undefined) return;
  contest.capacity = 2;
}

/** Traces one candidate, or sweeps its settings where the build logs no drafts, and predicts its grid. */
export async function traceCandidate(
  { candidate, setting }: TracedCandidate,
  search: Search,
  found: TuneFindings,
  keeper: RoundKeeper,
): Promise<void> {
  const { options, none, contest, progress } = search;
  const known = candidate.proposesAs === undefined ? undefined : found.traces.get(candidate.proposesAs);
  const describe = (what: string): readonly [undefined, string] => [undefined, `${candidate.label}: ${what}`];
  let isTraced = true;
  await progress.stage("trace", async () => {
    try {
      const depth = findDepth(found.baseline?.texts ?? []);
      const asked = { ...options, contest, pairedWith: none.label, prompts: found.prompts, known, depth, keeper };
      const traced = await traceSetting(setting.label, asked);
      isTraced = traced.trace !== undefined;
      if (!isTraced) return describe("the build logs no drafts");
      keepTrace(candidate, traced.trace, found);
      const costs = await findCosts({ candidate, setting }, traced, search, found);
      if (costs !== undefined) found.costs.set(candidate.label, costs.batches);
      found.predictions.push(predictTraced(candidate, traced, costs));
      return describe(`${traced.trace?.answers.length ?? 0} answers traced`);
    } catch (error) {
      return describe(noteUnjudged(candidate, error, found));
    }
  });
  if (!isTraced) await sweepCandidate({ candidate, setting }, search, found, keeper);
}

function keepTrace({ label }: Candidate, trace: DraftTrace | undefined, { traces }: TuneFindings): void {
  if (trace !== undefined) traces.set(label, trace);
}

/** @returns undefined where batches could not be measured. */
async function findCosts(
  { candidate, setting }: TracedCandidate,
  { bothMs, plainMs }: TracedSetting,
  { options }: Search,
  { baseline }: TuneFindings,
): Promise<DraftingCosts | undefined> {
  const before = baseline?.targetMs ?? [];
  const [beforeMs] = before;
  if (bothMs === undefined || beforeMs === undefined) return undefined;
  // What an answer pays: a batch of one token behind a pause takes up to a fifth longer.
  const stepMs = plainMs ?? baseline?.stepMs ?? beforeMs;
  const target = [stepMs, ...before.slice(1)];
  const [one = 0, ...more] = draftShare(bothMs, before);
  const draft = [Math.max(one, (candidate.costShare ?? 0) * stepMs), ...more];
  const reevaluates = await findReevaluation(setting, options.session);
  return { batches: { target, draft }, reevaluates, together: { singleMs: stepMs, bothMs } };
}
