import type { RemoteModelRef } from "../../profiles/schema/schema.ts";
import { explainPull } from "./explain-pull.ts";
import type { FetchEvent, FetchOptions } from "./fetch-files.ts";
import type { FindOptions } from "../find/find-model.ts";
import { checkSpace } from "./free-space.ts";
import { fetchHubFiles } from "./fetch-hub-files.ts";
import type { ModelFiles } from "../find/model-files.ts";
import { writeModelLock, type ModelLock } from "../find/model-lock.ts";
import { planHubPull } from "./plan-hub.ts";
import { planUrlPull } from "./plan-url.ts";
import type { FetchPlan, PullPlan } from "./pull-plan.ts";
import { fetchUrlFiles } from "./fetch-url.ts";
import { recordVerified } from "../keep/verified-files.ts";

/** Progress of a pull. */
export type PullEvent = { readonly kind: "plan"; readonly plan: PullPlan } | FetchEvent;

export interface PullOptions extends FindOptions, Omit<FetchOptions, "onProgress"> {
  readonly onProgress: (event: PullEvent) => void;
  /** Fetch the current version of the revision or address, instead of the locked one. */
  readonly update?: boolean;
}

/**
 * Plans what {@link pullModel} would do. It asks the server only when the model is not complete on disk, and writes
 * nothing.
 * @throws LlmctlError as {@link pullModel}.
 */
export async function planPull(ref: RemoteModelRef, options: PullOptions): Promise<PullPlan> {
  return withKnownErrors(ref, options, () => ("url" in ref ? planUrlPull(ref, options) : planHubPull(ref, options)));
}

/**
 * Makes a model complete on disk. Missing files are fetched into the Hugging Face cache, in the layout of the Python
 * client, or from a plain address into llmctl's own folder. Each file is verified before it gets its final name. After
 * an interruption at any byte, the next pull continues from there.
 * @returns the files, first shard first.
 * @throws LlmctlError `hub-offline`, `hub-unreachable`, `hub-denied`, `hub-not-found`, `hub-error`, `hub-bad-listing`,
 *   `hub-digest-mismatch`, `url-digest-mismatch`, `url-changed`, `no-space`, `permission-denied`, `interrupted`, or
 *   what `selectFiles` and `probeUrl` throw.
 */
export async function pullModel(ref: RemoteModelRef, options: PullOptions): Promise<ModelFiles> {
  const plan = await planPull(ref, options);
  options.onProgress({ kind: "plan", plan });
  return plan.kind === "complete" ? plan.files : fetchPlanned(ref, plan, options);
}

/** Fetches what was planned, and locks the reference to it. @throws LlmctlError as {@link pullModel}. */
export async function fetchPlanned(ref: RemoteModelRef, plan: FetchPlan, options: PullOptions): Promise<ModelFiles> {
  return withKnownErrors(ref, options, async () => {
    const { files, lock } = await fetchFrom(ref, plan, options);
    if (options.lockFolder === undefined) return files;
    for (const [i, { path }] of files.shards.entries())
      await recordVerified(options.lockFolder, path, lock.files[i]?.digest ?? "");
    await writeModelLock(options.lockFolder, ref, lock);
    return files;
  });
}

async function fetchFrom(
  ref: RemoteModelRef,
  plan: FetchPlan,
  options: PullOptions,
): Promise<{ files: ModelFiles; lock: ModelLock }> {
  if (plan.commit === undefined) return fetchUrlFiles(plan, options);
  if ("url" in ref) throw new Error("a plan with a commit for an address");
  return { files: await fetchHubFiles(ref, plan, options), lock: plan };
}

/** @throws LlmctlError `no-space` when all plans together need more room than there is. */
export async function checkSpaceFor(plans: readonly FetchPlan[]): Promise<void> {
  const stores = new Map(plans.map(({ store }) => [store.folder, store]));
  for (const store of stores.values()) {
    const there = plans.filter((plan) => plan.store.folder === store.folder);
    await checkSpace(
      there.reduce((sum, { missingBytes }) => sum + missingBytes, 0),
      store,
    );
  }
}

/** Runs a pull, and turns failures of network and disk, and an interruption, into known errors. */
async function withKnownErrors<T>(ref: RemoteModelRef, options: PullOptions, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw explainPull(error, ref, options);
  }
}
