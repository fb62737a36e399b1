import { findModel } from "../hub/find/find-model.ts";
import type { ModelFiles } from "../hub/find/model-files.ts";
import { checkSpaceFor, fetchPlanned } from "../hub/download/pull-model.ts";
import type { FetchPlan } from "../hub/download/pull-plan.ts";
import { reportAs } from "./model-event.ts";
import type { FetchModelsOptions, FulfilledRequest, ModelsPlan, PlannedRequest } from "./plan-models.ts";

/**
 * Fetches the planned files, after checking that there is space for all of them.
 * @throws LlmctlError as {@link fetchPlanned}.
 */
export async function fetchModels(
  { requests }: ModelsPlan,
  options: FetchModelsOptions,
): Promise<readonly FulfilledRequest[]> {
  const toFetch = requests.map(({ plan }) => plan).filter((plan): plan is FetchPlan => plan.kind === "fetch");
  if (toFetch.length > 0) {
    await checkSpaceFor(toFetch);
    options.onEvent({ kind: "fetch-plan", plans: requests.map(({ label, plan }) => ({ model: label, plan })) });
  }
  const fulfilled: FulfilledRequest[] = [];
  for (const { plan, ...request } of requests) {
    const files = await fetchOne({ ...request, plan }, options);
    fulfilled.push({ ...request, files, wasFetched: plan.kind === "fetch" });
  }
  return fulfilled;
}

/** A complete model is looked for once more: the downloads before it may have taken hours. */
async function fetchOne({ ref, label, find, plan }: PlannedRequest, options: FetchModelsOptions): Promise<ModelFiles> {
  if (plan.kind === "complete" || typeof ref === "string") return findModel(ref, find);
  return fetchPlanned(ref, plan, { ...find, ...options, onProgress: reportAs(label, options.onEvent) });
}
