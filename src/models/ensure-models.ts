import type { Paths } from "../base/files/paths.ts";
import { modelLockFolder } from "../hub/find/model-lock.ts";
import { readHubSettings } from "../hub/http/hub-settings.ts";
import { planLaunch } from "../llama/plan/plan-launch.ts";
import { listModelRefs } from "../profiles/model-refs.ts";
import type { Profile } from "../profiles/schema/schema.ts";
import { fetchModels } from "./fetch-models.ts";
import type { OnModelEvent } from "./model-event.ts";
import { findFulfilled, planModels, type FetchModelsOptions, type FulfilledRequest } from "./plan-models.ts";
import { verifyAndLock } from "./verify-and-lock.ts";
import { noteUnfitDraft, toNotFetched } from "./unfit-drafts.ts";

export interface EnsureModelsOptions {
  readonly paths: Paths;
  /** Has the Hub's address and token; a build of llama.cpp is asked for its flags in it. */
  readonly env: NodeJS.ProcessEnv;
  /** Fetch what is missing. Without it, only models that are complete are looked at. */
  readonly fetch: boolean;
  /** Read once the content of files that another program has fetched. */
  readonly verify: boolean;
  /** Aborts in an orderly way: what was fetched stays, and the next call goes on from there. */
  readonly signal: AbortSignal;
  readonly onEvent: OnModelEvent;
}

/**
 * Makes the models of a profile complete and verified before a start. When everything is on disk and verified, it only
 * compares sizes and needs no network. A profile that names only plain paths needs nothing.
 * @throws LlmctlError as {@link planModels}, {@link fetchModels} and {@link verifyAndLock}; before anything is fetched
 *   also the error that would keep the profile from starting afterwards.
 */
export async function ensureModels(profile: Profile, options: EnsureModelsOptions): Promise<void> {
  if (listModelRefs(profile.values).every(({ ref }) => typeof ref === "string")) return;
  const { paths, env, signal, onEvent, verify } = options;
  const fetching = { paths, env, hub: readHubSettings(env), signal, onEvent, believeNotes: true };
  const models = options.fetch ? await fetchMissing(profile, fetching) : await findFulfilled([profile], fetching);
  await verifyAndLock(models, { lockFolder: modelLockFolder(paths.state), onEvent, signal, verify });
}

async function fetchMissing(profile: Profile, options: FetchModelsOptions): Promise<readonly FulfilledRequest[]> {
  const plan = await planModels([profile], options);
  if (plan.requests.some((one) => one.plan.kind === "fetch")) await checkRest(profile, options);
  const models = await fetchModels(plan, options);
  for (const draft of plan.unfit) {
    await noteUnfitDraft(draft, options.paths);
    options.onEvent({ kind: "not-fetched", ...toNotFetched(draft) });
  }
  return models;
}

/** A build that is missing or refuses a flag is reported before a download of 200 GB, not after it. */
async function checkRest(profile: Profile, { paths, env }: FetchModelsOptions): Promise<void> {
  const { refused } = await planLaunch(profile, { paths, env, lacking: "mark" });
  if (refused[0] !== undefined) throw refused[0].error;
}
