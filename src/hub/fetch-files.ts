import { stat } from "node:fs/promises";
import { join } from "node:path";
import { systemErrorCode } from "../base/errors.ts";
import type { HubModelRef } from "../profiles/schema.ts";
import { withBlobLock } from "./blob-lock.ts";
import { countBytes } from "./byte-ranges.ts";
import { downloadBlob } from "./download-blob.ts";
import { checkSpace } from "./free-space.ts";
import { blobPath, linkBlob, repoFolder, writeRef, type RepoFolder } from "./hub-cache.ts";
import { connect, fileUrl, retryRule, waitRealTime, type HubAccess, type RetryEvent } from "./hub-access.ts";
import type { HubFile } from "./list-model.ts";
import type { ModelFiles } from "./model-files.ts";
import { partPath } from "./part-file.ts";
import { readRecord } from "./part-record.ts";
import { RateLimit } from "./rate-limit.ts";
import { sayOnce } from "./retry.ts";
import { Places, workThrough } from "./together.ts";
import { standardLimits, type Transfer, type TransferLimits } from "./transfer.ts";

/** What is told while files come. `file` is the name in the repository; several files move at once. */
export type FetchEvent =
  | { readonly kind: "waiting"; readonly file: string }
  | { readonly kind: "bytes"; readonly file: string; readonly doneBytes: number; readonly sizeBytes: number }
  | RetryEvent
  | { readonly kind: "file-done"; readonly file: string; readonly sizeBytes: number };

export interface FetchOptions extends Omit<HubAccess, "onProgress"> {
  /** The Hugging Face cache. */
  readonly hubCache: string;
  readonly onProgress: (event: FetchEvent) => void;
  /** Bytes per second, for all connections together; as many as come unless told. */
  readonly limitRate?: number | undefined;
  /** Other limits than the standard ones. */
  readonly limits?: TransferLimits;
}

/**
 * Fetches the files of one commit into the Hugging Face cache, several at once, each verified before it gets its name.
 * @returns the files in the order given.
 * @throws LlmctlError `no-space` before the first byte when there is no room for all of them, or as {@link downloadBlob}; what the disk throws.
 */
export async function fetchFiles(
  ref: HubModelRef,
  plan: { readonly commit: string; readonly files: readonly HubFile[] },
  options: FetchOptions,
): Promise<ModelFiles> {
  const repo = repoFolder(options.hubCache, ref.hf);
  const transfer = startTransfer(repo, plan.files, options);
  await transfer.checkSpace();
  await workThrough(plan.files, { count: transfer.limits.files, signal: options.signal }, (file, signal) =>
    fetchFile({ ref, repo, commit: plan.commit, file, transfer, options: { ...options, signal } }),
  );
  const shards: { path: string; sizeBytes: number }[] = [];
  for (const { name, digest, sizeBytes } of plan.files) shards.push({ path: await linkBlob(repo, plan.commit, name, digest), sizeBytes });
  await writeRef(repo, ref.revision ?? "main", plan.commit);
  return { shards, source: "Hugging Face cache" };
}

function startTransfer(repo: RepoFolder, files: readonly HubFile[], options: FetchOptions): Transfer {
  const { limits = standardLimits, limitRate, wait = waitRealTime, hubCache } = options;
  const retries = retryRule(options);
  const ours = new Map<string, number>();
  return {
    limits,
    places: new Places(limits.connections, () => Buffer.allocUnsafeSlow(limits.stepBytes)),
    rate: limitRate === undefined ? undefined : new RateLimit(limitRate, wait),
    retries: { ...retries, onRetry: sayOnce(retries.onRetry) },
    noteBytes: (file, doneBytes) => void ours.set(file.name, doneBytes),
    checkSpace: async () => {
      // The others may be complete, or be fetched by another process right now.
      const have = await Promise.all(files.map(async (file) => ours.get(file.name) ?? (await measureHave(repo, file))));
      const missingBytes = files.reduce((sum, { sizeBytes }, i) => sum + sizeBytes - (have[i] ?? 0), 0);
      await checkSpace(missingBytes, hubCache);
    },
  };
}

interface FileFetch {
  readonly ref: HubModelRef;
  readonly repo: RepoFolder;
  readonly commit: string;
  readonly file: HubFile;
  readonly transfer: Transfer;
  readonly options: FetchOptions;
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
      transfer,
      onBytes: (doneBytes) => {
        transfer.noteBytes(file, doneBytes);
        onProgress({ kind: "bytes", file: file.name, doneBytes, sizeBytes: file.sizeBytes });
      },
    });
  });
  onProgress({ kind: "file-done", file: file.name, sizeBytes: file.sizeBytes });
}

/** The bytes of a file that are on disk, also what another process has fetched of it so far. */
export async function measureHave(repo: RepoFolder, file: HubFile): Promise<number> {
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
