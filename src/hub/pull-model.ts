import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import type { HubModelRef } from "../profiles/schema.ts";
import { fetchFiles, measureHave, type FetchEvent, type FetchOptions } from "./fetch-files.ts";
import { searchHubModel, type FindOptions } from "./find-model.ts";
import { checkSpace } from "./free-space.ts";
import { repoFolder } from "./hub-cache.ts";
import { connect, offlineError, retryRule } from "./hub-access.ts";
import { identifyFiles } from "./identify-file.ts";
import { listModel, type HubFile, type ModelListing } from "./list-model.ts";
import type { ModelFiles } from "./model-files.ts";
import { readModelLock, writeModelLock } from "./model-lock.ts";
import { TransientError } from "./retry.ts";
import { describeRef, selectFiles } from "./select-files.ts";
import { recordVerified } from "./verified-files.ts";

/** What is told while a pull runs. */
export type PullEvent = { readonly kind: "plan"; readonly plan: PullPlan } | FetchEvent;

export interface PullOptions extends FindOptions, Omit<FetchOptions, "onProgress"> {
  readonly onProgress: (event: PullEvent) => void;
  /** Move on to the commit that the revision means now, instead of staying on the locked one. */
  readonly update?: boolean;
}

/** What a pull would do. */
export type PullPlan =
  | { readonly kind: "complete"; readonly files: ModelFiles }
  | { readonly kind: "fetch"; readonly commit: string; readonly files: readonly PlannedFile[]; readonly missingBytes: number };

export type FetchPlan = PullPlan & { readonly kind: "fetch" };

interface PlannedFile extends HubFile {
  /** Bytes that are on disk already, `sizeBytes` when the file is complete. */
  readonly haveBytes: number;
}

/**
 * Says what {@link pullModel} would do; asks the Hub only when the model is not complete on disk, and writes nothing.
 * @throws LlmctlError as {@link pullModel}.
 */
export async function planPull(ref: HubModelRef, options: PullOptions): Promise<PullPlan> {
  return explained(ref, options, () => makePlan(ref, options));
}

/**
 * Makes a Hub model complete on disk: nothing is fetched when it is, else its files come into the Hugging Face cache, in the layout that the
 * Python client shares, each verified before it gets its name. Interrupted at any byte, the next pull goes on from there.
 * @returns the files, first shard first.
 * @throws LlmctlError `hub-offline`, `hub-unreachable`, `hub-denied`, `hub-not-found`, `hub-error`, `hub-bad-listing`, `hub-digest-mismatch`,
 * `no-space`, `permission-denied`, `interrupted`, or what {@link selectFiles} throws.
 */
export async function pullModel(ref: HubModelRef, options: PullOptions): Promise<ModelFiles> {
  const plan = await planPull(ref, options);
  options.onProgress({ kind: "plan", plan });
  return plan.kind === "complete" ? plan.files : fetchPlanned(ref, plan, options);
}

/** Does what was planned, and locks the reference to the commit that was fetched. @throws LlmctlError as {@link pullModel}. */
export async function fetchPlanned(ref: HubModelRef, plan: FetchPlan, options: PullOptions): Promise<ModelFiles> {
  return explained(ref, options, async () => {
    const files = await fetchFiles(ref, plan, options);
    if (options.lockFolder === undefined) return files;
    for (const [i, { path }] of files.shards.entries()) await recordVerified(options.lockFolder, path, plan.files[i]?.digest ?? "");
    await writeModelLock(options.lockFolder, ref, plan);
    return files;
  });
}

/** @throws LlmctlError `no-space` before the first byte, for all that is to be fetched together. */
export async function checkSpaceFor(plans: readonly FetchPlan[], hubCache: string): Promise<void> {
  await checkSpace(
    plans.reduce((sum, { missingBytes }) => sum + missingBytes, 0),
    hubCache,
  );
}

async function makePlan(ref: HubModelRef, options: PullOptions): Promise<PullPlan> {
  const lock = options.lockFolder === undefined ? undefined : await readModelLock(options.lockFolder, ref);
  const found = await searchHubModel(ref, options);
  if ("files" in found && options.update !== true) return { kind: "complete", files: found.files };
  if (options.hub.offline) throw "files" in found ? noNewsError(ref) : offlineError(describeRef(ref), options.at);
  const { commit, files } = await listAt(options.update === true ? undefined : lock?.commit, ref, options);
  const byName = new Map(files.map((file) => [file.name, file]));
  const wanted = selectFiles([...byName.keys()], ref, options.at).flatMap((name) => byName.get(name) ?? []);
  if ("files" in found && isSameModel(wanted, (lock ?? (await identifyFiles(found.files)))?.files))
    return { kind: "complete", files: found.files };
  const repo = repoFolder(options.hubCache, ref.hf);
  const planned = await Promise.all(wanted.map(async (file) => ({ ...file, haveBytes: await measureHave(repo, file) })));
  return { kind: "fetch", commit, files: planned, missingBytes: planned.reduce((sum, file) => sum + file.sizeBytes - file.haveBytes, 0) };
}

function noNewsError(ref: HubModelRef): LlmctlError {
  return new LlmctlError("hub-offline", `HF_HUB_OFFLINE forbids to ask for the newest commit of ${describeRef(ref)}`, {
    exit: "unavailable",
    fix: "unset HF_HUB_OFFLINE",
  });
}

async function listAt(lockedCommit: string | undefined, ref: HubModelRef, options: PullOptions): Promise<ModelListing> {
  const revision = lockedCommit ?? ref.revision;
  try {
    return await listModel(revision === undefined ? ref : { ...ref, revision }, connect(options), retryRule(options));
  } catch (error) {
    if (lockedCommit === undefined || !(error instanceof LlmctlError) || error.code !== "hub-not-found") throw error;
    throw new LlmctlError("hub-not-found", `${describeRef(ref)} is locked to commit ${lockedCommit}, which the Hub no longer has`, {
      exit: error.exit,
      ...(error.at === undefined ? {} : { at: error.at }),
      fix: `run "llmctl pull --update ${options.profile}"`,
      cause: error,
    });
  }
}

/** Whether two commits differ in other things alone, such as a README. */
function isSameModel(listed: readonly HubFile[], known: readonly HubFile[] | undefined): boolean {
  return listed.length === known?.length && listed.every(({ name, digest }, i) => known[i]?.name === name && known[i].digest === digest);
}

/** Runs a pull, and turns what the network, the disk and Ctrl-C do to it into known failures. */
async function explained<T>(ref: HubModelRef, options: PullOptions, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw explain(error, ref, options);
  }
}

function explain(error: unknown, ref: HubModelRef, { signal, profile, hub, hubCache }: PullOptions): unknown {
  if (error instanceof LlmctlError) return error;
  const again = `run "llmctl pull ${profile}" again; it goes on from what is on disk`;
  if (signal.aborted)
    return new LlmctlError("interrupted", `the pull of ${describeRef(ref)} was interrupted`, { exit: "interrupted", fix: again });
  if (error instanceof TransientError) {
    const message = `${describeRef(ref)} could not be fetched: ${error.message}`;
    return new LlmctlError("hub-unreachable", message, {
      exit: "unavailable",
      at: hub.endpoint,
      fix: `check the network, then ${again}`,
      cause: error,
    });
  }
  return explainDisk(error, hubCache, again);
}

function explainDisk(error: unknown, hubCache: string, again: string): unknown {
  const code = systemErrorCode(error);
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new LlmctlError("no-space", "the disk is full", {
      exit: "io",
      at: hubCache,
      fix: `free some space, then ${again}`,
      cause: error,
    });
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    const fix = "check the folder's permissions, or set HF_HUB_CACHE to another one";
    return new LlmctlError("permission-denied", "no permission to write into the Hugging Face cache", {
      exit: "permission",
      at: hubCache,
      fix,
      cause: error,
    });
  }
  return error;
}
