import { findModel, searchModel } from "../hub/find/find-model.ts";
import type { ModelFiles } from "../hub/find/model-files.ts";
import type { HubSettings } from "../hub/http/hub-settings.ts";
import { planPull } from "../hub/download/pull-model.ts";
import type { PullPlan } from "../hub/download/pull-plan.ts";
import type { ModelRef, Profile } from "../profiles/schema/schema.ts";
import { reportAs, type OnModelEvent } from "./model-event.ts";
import { isSameRef, listRequests, needs, type ModelRequest, type RequestOptions } from "./model-requests.ts";
import { findUnfitDrafts, type UnfitDraft } from "./unfit-drafts.ts";

export interface FetchModelsOptions extends RequestOptions {
  readonly hub: HubSettings;
  readonly signal: AbortSignal;
  readonly onEvent: OnModelEvent;
  /** Move on to the newest commits. */
  readonly update?: boolean;
  /** Bytes per second at most. */
  readonly limitRate?: number | undefined;
}

/** A requested model, and what a pull would do about it. */
export interface PlannedRequest extends ModelRequest {
  readonly plan: PullPlan;
}

/** A requested model whose files are all on disk. */
export interface FulfilledRequest extends ModelRequest {
  readonly files: ModelFiles;
  readonly wasFetched: boolean;
}

export interface ModelsPlan {
  readonly requests: readonly PlannedRequest[];
  /** Drafts that will not be fetched. */
  readonly unfit: readonly UnfitDraft[];
}

/**
 * Finds out what the profiles' models lack. The order is: files on disk, the Hub's listing, and the headers of pairs
 * of which files are missing. Writes nothing.
 * @throws LlmctlError as {@link planPull} and {@link findUnfitDrafts}.
 */
export async function planModels(profiles: readonly Profile[], options: FetchModelsOptions): Promise<ModelsPlan> {
  const requests: PlannedRequest[] = [];
  for (const request of await listRequests(profiles, options))
    requests.push({ ...request, plan: await planOne(request, options) });
  const planOf = (ref: ModelRef) => requests.find((request) => isSameRef(request.ref, ref))?.plan;
  const { hub, signal, paths, env, onEvent } = options;
  const access = { hub, signal, onProgress: reportAs("", onEvent) };
  const unfit = await findUnfitDrafts(profiles, planOf, { access, paths, env });
  return { requests: requests.filter(({ ref }) => profiles.some((profile) => needs(profile, ref, unfit))), unfit };
}

/** The requests that files on disk fulfil already. Models at plain paths are left out: nobody fetches them. */
export async function findFulfilled(
  profiles: readonly Profile[],
  options: FetchModelsOptions,
): Promise<readonly FulfilledRequest[]> {
  const fulfilled: FulfilledRequest[] = [];
  for (const request of await listRequests(profiles, options)) {
    if (typeof request.ref === "string") continue;
    const search = await searchModel(request.ref, request.find);
    if ("files" in search) fulfilled.push({ ...request, files: search.files, wasFetched: false });
  }
  return fulfilled;
}

async function planOne({ ref, label, find }: ModelRequest, options: FetchModelsOptions): Promise<PullPlan> {
  if (typeof ref === "string") return { kind: "complete", files: await findModel(ref, find) };
  return planPull(ref, { ...find, ...options, onProgress: reportAs(label, options.onEvent) });
}
