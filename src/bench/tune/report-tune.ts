import { llmctlVersion } from "../../base/version.ts";
import type { Verdict } from "../estimate.ts";
import { describeComputing } from "../../llama/ask/computing-machine.ts";
import { describeMachine } from "../run/describe-machine.ts";
import { findConcurrency } from "../run/find-concurrency.ts";
import { findDraftBytes } from "../run/find-draft-bytes.ts";
import { keepCosts } from "../run/keep-costs.ts";
import { findReevaluation } from "../run/measure-drafting.ts";
import { reportSetting } from "../run/report-setting.ts";
import { estimateFirstToken, estimateRatio, summarizeWaitShare } from "../statistics/estimate-ratio.ts";
import { speedupSentence } from "../statistics/speedup-sentence.ts";
import { acceptedInTrace } from "../trace/accepted-in-trace.ts";
import { type TuneCandidate, type TuneFinalist, type TuneReport, tuneReportVersion } from "../tune-report.ts";
import { chooseWinner, type Winner } from "./choose-winner.ts";
import type { Finalist } from "./finalist.ts";
import type { TuneFindings, PlannedFinalist, Search } from "./search.ts";

export interface TuneResult {
  readonly report: TuneReport;
  readonly winner: Winner;
}

/** Puts together what a search has found. */
export async function reportTune(
  search: Search,
  found: TuneFindings,
  time: Pick<TuneReport, "startedAt" | "seconds">,
): Promise<TuneResult> {
  const { options, none, contest, progress } = search;
  const { profile, session, timing } = options;
  const { finals } = found;
  const rounds = found.keeper?.rounds ?? [];
  const elapsedMs = finals?.elapsedMs ?? 0;
  // One that was dropped has answered fewer prompts, so its ratio is one over other prompts.
  const isLeft = ({ label }: Finalist) => finals?.dropped.has(label) !== true;
  const winner = chooseWinner(found.finalists.map(({ finalist }) => finalist).filter(isLeft), {
    none: none.label,
    rounds,
    timing,
    elapsedMs,
  });
  const finalists = await Promise.all(found.finalists.map((one) => reportFinalist(one, search, found)));
  const notKept = await keepTuned(search, found, winner);
  const report: TuneReport = {
    version: tuneReportVersion,
    llmctl: llmctlVersion,
    profile: profile.name,
    ...time,
    end: finals?.end ?? "no-candidate",
    machine: await describeMachine(none, session),
    build: none.launch.build,
    timing,
    concurrency: findConcurrency(options),
    prompts: found.prompts.map(({ id, kind, excerpt }) => ({ id, kind, excerpt })),
    stages: progress.stages,
    loads: contest.loads,
    candidates: reportCandidates(found),
    predicted: found.predictions.flatMap(({ predicted }) => predicted),
    baseline: found.baseline === undefined ? null : await reportSetting(none, contest.loadMs.get(none.label)),
    finalists: finalists.toSorted((a, b) => (b.estimate?.ratio ?? 0) - (a.estimate?.ratio ?? 0)),
    winner: nameWinner(winner, found),
    draftBefore: profile.values.draft ?? null,
    rounds,
    waitShare: summarizeWaitShare(rounds),
    sentence: describeWinner(winner, found, elapsedMs),
    notes: [...found.notes, ...(finals?.notes ?? []), ...(notKept === undefined ? [] : [notKept])],
  };
  return { report, winner };
}

/** Keeps the speed without a draft, with what batches cost the winner, else the likeliest finalist. */
async function keepTuned(
  { options, none }: Search,
  { keeper, costs, finalists, finals }: TuneFindings,
  winner: Winner,
): Promise<string | undefined> {
  if (finals === undefined) return undefined;
  const best = finalists.find(({ finalist }) => finalist === winner.finalist) ?? finalists[0];
  const measured = {
    source: "tune" as const,
    plain: none,
    drafting: best?.setting,
    rounds: keeper?.rounds ?? [],
    timing: options.timing,
    concurrency: findConcurrency(options),
    batches: (best && costs.get(best.finalist.candidate.label)) ?? null,
    reevaluates: await findReevaluation(best?.setting ?? none, options.session),
    machine: await describeComputing(() => options.session.listDevices(none.launch.file, none.launch.env)),
  };
  return keepCosts(measured, options.session.paths.data);
}

function reportCandidates({ candidates, costs, traces }: TuneFindings): TuneCandidate[] {
  return [...candidates.left.map((one) => ({ ...one, thrownOut: null })), ...candidates.rejected].map(
    ({ label, thrownOut, bestPossible }) => ({
      label,
      thrownOut,
      bestPossible,
      costs: costs.get(label) ?? null,
      acceptedByPosition: acceptedInTrace(traces.get(label)),
    }),
  );
}

async function reportFinalist(
  { finalist, setting }: PlannedFinalist,
  { options, none, contest }: Search,
  { keeper, finals }: TuneFindings,
): Promise<TuneFinalist> {
  const comparison = { first: none.label, second: finalist.label, timing: options.timing };
  return {
    setting: await reportSetting(setting, contest.loadMs.get(setting.label)),
    candidate: finalist.candidate.label,
    predicted: finalist.predicted,
    estimate: estimateRatio(keeper?.rounds ?? [], comparison) ?? null,
    firstToken: estimateFirstToken(keeper?.rounds ?? [], comparison) ?? null,
    acceptedByPosition: (await contest.find(finalist.label)?.readAccepted(options.signal)) ?? null,
    draftBytes: await findDraftBytes(none, setting, options.session),
    dropped: finals?.dropped.get(finalist.label) ?? null,
  };
}

/**
 * A search without finalists has shown by its gate or by computing that nothing pays. Where something failed, what it
 * failed for may pay.
 */
function nameWinner({ finalist, verdict }: Winner, found: TuneFindings): string | null {
  const { finalists, finals, baseline } = found;
  if (finalist !== undefined) return finalist.label;
  if (findFailure(found) !== undefined) return null;
  if (finalists.length === 0) return finals === undefined && baseline !== undefined ? "none" : null;
  return verdict.kind === "unknown" ? null : "none";
}

/** Why a search without a winner has not shown that drafting does not pay. */
function findFailure({ unjudged, finals }: TuneFindings): string | undefined {
  if (unjudged.length > 0) return `${unjudged.join(" and ")} could not be measured`;
  return finals?.end === "server-died" ? "a server died" : undefined;
}

function describeWinner({ finalist, verdict }: Winner, found: TuneFindings, elapsedMs: number): string {
  const { finalists, finals } = found;
  const facts = { firstToken: null, draftBytes: null, elapsedMs };
  if (finalist !== undefined) return `${finalist.label} ${speedupSentence(verdict, facts)}`;
  const failure = findFailure(found);
  if (failure !== undefined && (finalists.length === 0 ? finals === undefined : verdict.kind !== "unknown"))
    return `nothing was shown to pay, but ${failure}`;
  if (finalists.length === 0)
    return finals === undefined
      ? "drafting does not pay here: no setting can be expected to"
      : "interrupted before anything was measured";
  return verdict.kind === "unknown"
    ? speedupSentence(verdict, facts)
    : `drafting does not pay here: ${describeBest(verdict, facts)}`;
}

function describeBest(
  verdict: Exclude<Verdict, { kind: "unknown" }>,
  facts: Parameters<typeof speedupSentence>[1],
): string {
  return `the best setting ${speedupSentence(verdict, facts)}`;
}
