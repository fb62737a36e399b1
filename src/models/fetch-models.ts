import type { Paths } from "../base/files/paths.ts";
import { findModel, findOptions, searchModel, type FindOptions } from "../hub/find/find-model.ts";
import type { HubSettings } from "../hub/http/hub-settings.ts";
import type { ModelFiles } from "../hub/find/model-files.ts";
import { checkSpaceFor, fetchPlanned, planPull, type PullOptions } from "../hub/download/pull-model.ts";
import type { FetchPlan, PullPlan } from "../hub/download/pull-plan.ts";
import { describeRef } from "../hub/find/describe-ref.ts";
import { listModelRefs } from "../profiles/model-refs.ts";
import type { ModelRef, Profile } from "../profiles/schema/schema.ts";
import { targetModel } from "../profiles/target.ts";
import type { OnModelEvent } from "./model-event.ts";
import { findSkippedDrafts, isSkipNoted, type SkippedDraft } from "./unfit-drafts.ts";

export interface FetchModelsOptions {
  readonly paths: Paths;
  /** Names the build of llama.cpp that judges a pair, and the proxy. */
  readonly env: NodeJS.ProcessEnv;
  readonly hub: HubSettings;
  readonly signal: AbortSignal;
  readonly onEvent: OnModelEvent;
  /** Move on to the newest commits. */
  readonly update?: boolean;
  /** Bytes per second at most. */
  readonly limitRate?: number | undefined;
  /** Leave out, without asking the Hub again, the drafts that an earlier pull has left out. */
  readonly believeNotes?: boolean;
}

/** A model that a profile names. */
interface NamedModel {
  readonly ref: ModelRef;
  /** For people. */
  readonly label: string;
  readonly find: FindOptions;
}

/** What is to be done about a model. */
export interface PlannedModel extends NamedModel {
  readonly plan: PullPlan;
}

/** A model whose files are all here. */
export interface CompleteModel extends NamedModel {
  readonly files: ModelFiles;
  readonly wasFetched: boolean;
}

export interface ModelsPlan {
  readonly models: readonly PlannedModel[];
  /** Drafts that are not fetched, because their headers say that they cannot speed up their target. */
  readonly skipped: readonly SkippedDraft[];
}

/**
 * Says what the profiles' models lack, in this order: files on disk, the Hub's listing, and the headers of pairs of
 * which something lacks. Writes nothing.
 * @throws LlmctlError as {@link planPull} and {@link findSkippedDrafts}.
 */
export async function planModels(profiles: readonly Profile[], options: FetchModelsOptions): Promise<ModelsPlan> {
  const models: PlannedModel[] = [];
  for (const model of await listNamed(profiles, options))
    models.push({ ...model, plan: await planOne(model, options) });
  const planOf = (ref: ModelRef) => models.find((model) => isSame(model.ref, ref))?.plan;
  const { hub, signal, paths, env } = options;
  const access = { hub, signal, onProgress: reportAs("", options) };
  const skipped = await findSkippedDrafts(profiles, planOf, { access, paths, env });
  return { models: models.filter(({ ref }) => profiles.some((profile) => needs(profile, ref, skipped))), skipped };
}

/**
 * Fetches what was planned, after a look at the space for all of it.
 * @throws LlmctlError as {@link fetchPlanned}.
 */
export async function fetchModels(
  { models }: ModelsPlan,
  options: FetchModelsOptions,
): Promise<readonly CompleteModel[]> {
  const toFetch = models.map(({ plan }) => plan).filter((plan): plan is FetchPlan => plan.kind === "fetch");
  if (toFetch.length > 0) {
    await checkSpaceFor(toFetch);
    options.onEvent({ kind: "fetch-plan", plans: models.map(({ label, plan }) => ({ model: label, plan })) });
  }
  const complete: CompleteModel[] = [];
  for (const { plan, ...model } of models)
    complete.push({ ...model, files: await makeComplete(model, plan, options), wasFetched: plan.kind === "fetch" });
  return complete;
}

/** Of the models that the profiles name those that can be fetched, as far as they are complete on disk. */
export async function findHere(
  profiles: readonly Profile[],
  options: FetchModelsOptions,
): Promise<readonly CompleteModel[]> {
  const here: CompleteModel[] = [];
  for (const model of await listNamed(profiles, options)) {
    const search = typeof model.ref === "string" ? { absent: [] } : await searchModel(model.ref, model.find);
    if ("files" in search) here.push({ ...model, files: search.files, wasFetched: false });
  }
  return here;
}

/** The models of a profile, and what is to be fetched beside them. */
function listFetchable(profile: Profile) {
  targetModel(profile); // a worker has nothing to fetch, and must not be named
  return listModelRefs(profile.values).filter(({ key, ref }) => typeof ref === "object" || key.at(-1) === "model");
}

/** Every model that the profiles name, once. */
async function listNamed(
  profiles: readonly Profile[],
  { paths, env, believeNotes = false }: FetchModelsOptions,
): Promise<readonly NamedModel[]> {
  const named: NamedModel[] = [];
  for (const profile of profiles) {
    const isSkipped = believeNotes && (await isSkipNoted(profile, { paths, env }));
    for (const { key, ref } of listFetchable(profile)) {
      if (isSkipped && key[0] === "draft") continue;
      named.push({ ref, label: labelOf(ref), find: { ...findOptions(profile, paths), at: profile.at(...key) } });
    }
  }
  // What comes from an address is looked for in one place only.
  const keyOf = ({ ref, find }: NamedModel) =>
    JSON.stringify([ref, typeof ref === "object" && "url" in ref ? [] : find.modelDirs]);
  return named.filter((model, i) => named.findIndex((other) => keyOf(other) === keyOf(model)) === i);
}

async function planOne({ ref, label, find }: NamedModel, options: FetchModelsOptions): Promise<PullPlan> {
  if (typeof ref === "string") return { kind: "complete", files: await findModel(ref, find) };
  return planPull(ref, { ...find, ...options, onProgress: reportAs(label, options) });
}

async function makeComplete(
  { ref, label, find }: NamedModel,
  plan: PullPlan,
  options: FetchModelsOptions,
): Promise<ModelFiles> {
  if (plan.kind === "complete" || typeof ref === "string") return findModel(ref, find);
  return fetchPlanned(ref, plan, { ...find, ...options, onProgress: reportAs(label, options) });
}

/** The hub's "plan" is left out: all models are planned together, and reported once. */
function reportAs(model: string, { onEvent }: FetchModelsOptions): PullOptions["onProgress"] {
  return (event) => event.kind !== "plan" && onEvent({ ...event, model });
}

function needs(profile: Profile, ref: ModelRef, skipped: readonly SkippedDraft[]): boolean {
  const isSkipped = skipped.some((one) => one.profile === profile);
  return listFetchable(profile).some(({ key, ref: own }) => isSame(own, ref) && !(isSkipped && key[0] === "draft"));
}

function isSame(one: ModelRef, other: ModelRef): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function labelOf(ref: ModelRef): string {
  return typeof ref === "string" ? `"${ref}"` : describeRef(ref);
}
