import { modelLockFolder } from "../hub/find/model-lock.ts";
import { describeMissingDigests } from "../llama/plan/missing-digests.ts";
import type { Profile } from "../profiles/schema/schema.ts";
import { fetchModels } from "./fetch-models.ts";
import { planModels, type FetchModelsOptions, type FulfilledRequest } from "./plan-models.ts";
import { verifyAndLock } from "./verify-and-lock.ts";
import { noteUnfitDraft, type UnfitDraft } from "./unfit-drafts.ts";

export interface PullModelsOptions extends FetchModelsOptions {
  /** Read the content of files that another program has fetched. */
  readonly verify: boolean;
}

export interface PulledModels {
  readonly fulfilled: readonly FulfilledRequest[];
  /** Drafts that were not fetched. */
  readonly unfit: readonly UnfitDraft[];
}

/**
 * Fetches the files that the profiles' models lack, and verifies them. An interrupted pull keeps what was fetched.
 * @throws LlmctlError as {@link planModels}, {@link fetchModels} and {@link verifyAndLock}.
 */
export async function pullModels(profiles: readonly Profile[], options: PullModelsOptions): Promise<PulledModels> {
  const { verify, ...fetching } = options;
  const { paths, onEvent, signal } = options;
  const plan = await planModels(profiles, fetching);
  const fulfilled = await fetchModels(plan, fetching);
  for (const draft of plan.unfit) await noteUnfitDraft(draft, paths);
  await verifyAndLock(fulfilled, { lockFolder: modelLockFolder(paths.state), onEvent, signal, verify });
  return { fulfilled, unfit: plan.unfit };
}

/** For each file that a profile takes from an address without saying its digest: a sentence that says how to add it. */
export async function noteMissingDigests(
  profiles: readonly Profile[],
  { paths }: Pick<FetchModelsOptions, "paths">,
): Promise<readonly string[]> {
  return (await Promise.all(profiles.map(({ values }) => describeMissingDigests(values, paths)))).flat();
}
