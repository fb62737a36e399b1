import { LlmctlError } from "../../base/errors.ts";
import type { PlanSession } from "../../llama/plan/plan-session.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import type { RoundKeeper } from "../rounds/run-rounds.ts";
import { choosePrompts, samplePrompts, shippedPrompts } from "../run/choose-prompts.ts";
import { findConcurrency } from "../run/find-concurrency.ts";
import { noteEarlier } from "../run/open-keeper.ts";
import { findWhyInTurns } from "../servers/find-servers-room.ts";
import { planSetting } from "../servers/plan-setting.ts";
import { findReevaluation } from "../run/measure-drafting.ts";
import type { Candidate, RejectedCandidate } from "./candidate.ts";
import { type Candidates, listCandidates } from "./list-candidates.ts";
import { measureBaseline } from "./measure-baseline.ts";
import { type FinalsResult, measureFinalists } from "./measure-finalists.ts";
import { predictNgrams } from "./predict-candidates.ts";
import type { TuneFindings, PlannedFinalist, Search } from "./search.ts";
import { makeRoomForTwo, planTraces, traceCandidate } from "./trace-candidates.ts";

/** Runs the stages of a search; what each one found is kept in `found`, also when a later one is interrupted. */
export async function runStages(search: Search, found: TuneFindings): Promise<void> {
  const { options, none, contest, progress } = search;
  const { session, signal, onEvent } = options;
  found.candidates = await progress.stage("gate", () => passGate(search));
  found.unjudged.push(...found.candidates.rejected.filter((one) => one.isUnjudged).map(({ label }) => label));
  const traced = await planTraces(search, found);
  const concurrency = findConcurrency(options);
  const keeper = await options.openKeeper({
    purpose: "tune",
    settings: [none, ...traced.map(({ setting }) => setting)],
    promptIds: options.prompts?.map(({ id }) => id) ?? [shippedPrompts],
    concurrency,
    timing: options.timing,
    maxTokens: options.maxTokens,
  });
  found.keeper = keeper;
  noteEarlier(keeper, onEvent);
  contest.enter(traced.map(({ setting }) => setting));
  const server = async () => (await contest.server(none.label, signal)).server;
  const chosen = samplePrompts(await choosePrompts(options.prompts, { server, keeper, signal }), mostPrompts);
  found.prompts = chosen.prompts;
  found.notes.push(...chosen.notes);
  const baseline = await progress.stage("baseline", async () => {
    const measured = await measureBaseline({
      ...search,
      ...options,
      label: none.label,
      prompts: found.prompts,
      keeper,
    });
    return [measured, `${measured.texts.length} of ${found.prompts.length} prompts answered`];
  });
  found.baseline = baseline;
  await makeRoomForTwo(traced, search);
  for (const one of traced) await traceCandidate(one, search, found, keeper);
  for (const candidate of found.candidates.left.filter(({ source }) => source === "ngram"))
    found.predictions.push(predictNgrams(candidate, baseline.texts, baseline.targetMs));
  found.finalists = await progress.stage("predict", () => planFinalists(found, session, options.profile));
  if (found.finalists.length === 0) return;
  found.finals = await progress.stage("measure", () => runFinals(search, found, { keeper, concurrency }));
}

async function passGate({ options, none }: Search): Promise<readonly [Candidates, string]> {
  const { profile, drafts, session, access, ensureModels } = options;
  const reevaluates = await findReevaluation(none, session);
  const candidates = await listCandidates(profile, { drafts, session, access, env: none.launch.env, reevaluates });
  const left: Candidate[] = [];
  const rejected: RejectedCandidate[] = [...candidates.rejected];
  for (const candidate of candidates.left) {
    try {
      if (candidate.draft.model !== undefined) await ensureModels(withDraft(profile, candidate));
      left.push(candidate);
    } catch (error) {
      if (!(error instanceof LlmctlError)) throw error;
      rejected.push({ ...candidate, thrownOut: error.message, isUnjudged: true });
    }
  }
  const names = left.map(({ label }) => label).join(", ");
  return [{ left, rejected }, left.length === 0 ? "nothing can draft for this target" : `${names} can draft`];
}

function withDraft(profile: Profile, { draft }: Candidate): Profile {
  return { ...profile, values: { ...profile.values, draft } };
}

/** The stages before the measurement ask each prompt twice, whatever time is given: more would teach little. */
const mostPrompts = 64;
/** Number of settings that are measured. */
const mostFinalists = 3;
/** Predictions for different ways of drafting are off in different ways: only a measurement tells which is faster. */
const margin = 0.25;

/** The best of all candidates: of each one the best first, and of the n-gram types, which are much alike, one. */
async function planFinalists(
  { predictions }: TuneFindings,
  session: PlanSession,
  profile: Profile,
): Promise<readonly [readonly PlannedFinalist[], string]> {
  const all = predictions.flatMap(({ finalists }) => finalists.map((finalist, rank) => ({ finalist, rank })));
  const best = all.reduce((most, { finalist }) => Math.max(most, finalist.predicted ?? 0), 0);
  const good = all
    .filter(({ finalist }) => finalist.predicted === null || finalist.predicted >= best * (1 - margin))
    .toSorted((a, b) => a.rank - b.rank || (b.finalist.predicted ?? 0) - (a.finalist.predicted ?? 0));
  const [, ...moreNgrams] = good.filter(({ finalist }) => finalist.candidate.source === "ngram");
  const chosen = good.filter((one) => !moreNgrams.includes(one)).slice(0, mostFinalists);
  const planned: PlannedFinalist[] = [];
  for (const { finalist } of chosen)
    planned.push({ finalist, setting: await planSetting(profile, finalist.draft, { label: finalist.label, session }) });
  const found = planned.map(({ finalist: { label, predicted } }) =>
    predicted === null ? label : `${label} (predicted ${predicted.toFixed(2)} ×)`,
  );
  return [planned, found.length === 0 ? "no setting can be expected to pay" : `to be measured: ${found.join(", ")}`];
}

async function runFinals(
  { options, none, contest, clock }: Search,
  { finalists, prompts, notes }: TuneFindings,
  { keeper, concurrency }: { readonly keeper: RoundKeeper; readonly concurrency: number },
): Promise<readonly [FinalsResult, string]> {
  const settings = finalists.map(({ setting }) => setting);
  contest.enter(settings);
  const why = await findWhyInTurns([none, ...settings], options.session);
  if (why !== undefined) notes.push(`the servers take turns: ${why}`);
  contest.capacity = why === undefined ? settings.length + 1 : 1;
  const finals = await measureFinalists({
    ...options,
    none,
    finalists: settings,
    prompts,
    concurrency,
    isInterleaved: why === undefined,
    contest,
    keeper,
    clock,
  });
  return [finals, `${finalists.length - finals.dropped.size} of ${finalists.length} left`];
}
