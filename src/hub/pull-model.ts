import { stat } from "node:fs/promises";
import { join } from "node:path";
import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import type { HubModelRef } from "../profiles/schema.ts";
import { withBlobLock } from "./blob-lock.ts";
import { countBytes } from "./byte-ranges.ts";
import { downloadBlob } from "./download-blob.ts";
import { searchHubModel, type FindOptions } from "./find-model.ts";
import { checkSpace } from "./free-space.ts";
import { blobPath, linkBlob, repoFolder, writeRef, type RepoFolder } from "./hub-cache.ts";
import { connect, fileUrl, offlineError, retryRule, waitRealTime, type HubAccess, type RetryEvent } from "./hub-access.ts";
import { listModel, type HubFile } from "./list-model.ts";
import type { ModelFiles } from "./model-files.ts";
import { partPath } from "./part-file.ts";
import { readRecord } from "./part-record.ts";
import { RateLimit } from "./rate-limit.ts";
import { TransientError } from "./retry.ts";
import { describeRef, selectFiles } from "./select-files.ts";
import { Places, workThrough } from "./together.ts";
import { standardLimits, type Transfer, type TransferLimits } from "./transfer.ts";

/** What is told while a pull runs. `file` is the name in the repository; several files move at once. */
export type PullEvent =
  | { readonly kind: "plan"; readonly plan: PullPlan }
  | { readonly kind: "waiting"; readonly file: string }
  | { readonly kind: "bytes"; readonly file: string; readonly doneBytes: number; readonly sizeBytes: number }
  | RetryEvent
  | { readonly kind: "file-done"; readonly file: string; readonly sizeBytes: number };

export interface PullOptions extends FindOptions, Omit<HubAccess, "onProgress"> {
  readonly onProgress: (event: PullEvent) => void;
  /** Bytes per second, for all connections together; as many as come unless told. */
  readonly limitRate?: number | undefined;
  /** Other limits than the standard ones. */
  readonly limits?: TransferLimits;
}

/** What a pull would do. */
export type PullPlan =
  | { readonly kind: "complete"; readonly files: ModelFiles }
  | { readonly kind: "fetch"; readonly commit: string; readonly files: readonly PlannedFile[]; readonly missingBytes: number };

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
  return explained(ref, options, async () => {
    const plan = await makePlan(ref, options);
    options.onProgress({ kind: "plan", plan });
    return plan.kind === "complete" ? plan.files : fetchModel(ref, plan, options);
  });
}

async function makePlan(ref: HubModelRef, options: PullOptions): Promise<PullPlan> {
  const found = await searchHubModel(ref, options);
  if ("files" in found) return { kind: "complete", files: found.files };
  if (options.hub.offline) throw offlineError(describeRef(ref), options.at);
  const { commit, files } = await listModel(ref, connect(options), retryRule(options));
  const byName = new Map(files.map((file) => [file.name, file]));
  const wanted = selectFiles([...byName.keys()], ref, options.at).flatMap((name) => byName.get(name) ?? []);
  const repo = repoFolder(options.hubCache, ref.hf);
  const planned = await Promise.all(wanted.map(async (file) => ({ ...file, haveBytes: await measureHave(repo, file) })));
  return { kind: "fetch", commit, files: planned, missingBytes: planned.reduce((sum, file) => sum + file.sizeBytes - file.haveBytes, 0) };
}

async function fetchModel(ref: HubModelRef, plan: PullPlan & { kind: "fetch" }, options: PullOptions): Promise<ModelFiles> {
  const repo = repoFolder(options.hubCache, ref.hf);
  await checkSpace(plan.missingBytes, options.hubCache);
  const transfer = startTransfer(repo, plan.files, options);
  await workThrough(plan.files, { count: transfer.limits.files, signal: options.signal }, (file, signal) =>
    fetchFile({ ref, repo, commit: plan.commit, file, transfer, options: { ...options, signal } }),
  );
  const shards: { path: string; sizeBytes: number }[] = [];
  for (const { name, digest, sizeBytes } of plan.files) shards.push({ path: await linkBlob(repo, plan.commit, name, digest), sizeBytes });
  await writeRef(repo, ref.revision ?? "main", plan.commit);
  return { shards, source: "Hugging Face cache" };
}

function startTransfer(repo: RepoFolder, files: readonly HubFile[], options: PullOptions): Transfer {
  const { limits = standardLimits, limitRate, wait = waitRealTime, hubCache } = options;
  const ours = new Map<string, number>();
  return {
    limits,
    places: new Places(limits.connections),
    rate: limitRate === undefined ? undefined : new RateLimit(limitRate, wait),
    noteBytes: (file, doneBytes) => void ours.set(file.name, doneBytes),
    checkSpace: async () => {
      // The others may be complete, or be fetched by another process right now.
      const have = await Promise.all(files.map(async (file) => ours.get(file.name) ?? (await measureHave(repo, file))));
      const missingBytes = files.reduce((sum, { sizeBytes }, i) => sum + sizeBytes - (have[i] ?? 0), 0);
      // What another process has on disk may not be recorded yet.
      await checkSpace(missingBytes - limits.connections * limits.stepBytes, hubCache);
    },
  };
}

interface FileFetch {
  readonly ref: HubModelRef;
  readonly repo: RepoFolder;
  readonly commit: string;
  readonly file: HubFile;
  readonly transfer: Transfer;
  readonly options: PullOptions;
}

async function fetchFile({ ref, repo, commit, file, transfer, options }: FileFetch): Promise<void> {
  const { signal, onProgress } = options;
  const onWait = () => onProgress({ kind: "waiting", file: file.name });
  await withBlobLock(join(repo.locks, `${file.digest}.lock`), { signal, onWait }, async () => {
    // Another process may have finished it while we waited.
    if (await isComplete(repo, file)) return;
    await downloadBlob({
      url: fileUrl(options.hub, ref.hf, commit, file.name),
      path: blobPath(repo, file.digest),
      file,
      hub: connect(options),
      retries: retryRule(options),
      transfer,
      onBytes: (doneBytes) => {
        transfer.noteBytes(file, doneBytes);
        onProgress({ kind: "bytes", file: file.name, doneBytes, sizeBytes: file.sizeBytes });
      },
    });
  });
  onProgress({ kind: "file-done", file: file.name, sizeBytes: file.sizeBytes });
}

/** Also what another process has fetched so far. */
async function measureHave(repo: RepoFolder, file: HubFile): Promise<number> {
  if (await isComplete(repo, file)) return file.sizeBytes;
  const path = blobPath(repo, file.digest);
  if ((await fileSize(partPath(path))) === undefined) return 0;
  return countBytes((await readRecord(path, file.sizeBytes)).ranges);
}

/** A blob has its name only once its digest was right; the size is a cheap second look that finds what was cut off later. */
async function isComplete(repo: RepoFolder, file: HubFile): Promise<boolean> {
  return (await fileSize(blobPath(repo, file.digest))) === file.sizeBytes;
}

async function fileSize(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
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
