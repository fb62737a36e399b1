import { stat } from "node:fs/promises";
import { systemErrorCode } from "../../base/errors.ts";
import { withBlobLock } from "./blob-lock.ts";
import { countBytes } from "../http/byte-ranges.ts";
import { downloadBlob, type Expected } from "./download-blob.ts";
import { checkSpace, type Store } from "./free-space.ts";
import { retryRule, waitRealTime, type HubAccess, type RetryEvent } from "../http/hub-access.ts";
import type { HttpConnection } from "../http/hub-connection.ts";
import { partPath } from "./part-file.ts";
import { readRecord } from "./part-record.ts";
import { RateLimit } from "../http/rate-limit.ts";
import type { RemoteFile } from "../http/remote-file.ts";
import { sayOnce } from "../http/retry.ts";
import { Pool } from "./pool.ts";
import { runConcurrently } from "./run-concurrently.ts";
import { standardLimits, type Transfer, type TransferLimits } from "./transfer.ts";

/** What is told while files come. `file` is the name where it comes from; several files move at once. */
export type FetchEvent =
  | { readonly kind: "waiting"; readonly file: string }
  | { readonly kind: "bytes"; readonly file: string; readonly doneBytes: number; readonly sizeBytes: number }
  | RetryEvent
  /** `verified`: the content was compared with a digest that was known before. */
  | { readonly kind: "file-done"; readonly file: string; readonly sizeBytes: number; readonly verified: boolean };

export interface FetchOptions extends Omit<HubAccess, "onProgress"> {
  readonly onProgress: (event: FetchEvent) => void;
  /** Bytes per second, for all connections together; as many as come unless told. */
  readonly limitRate?: number | undefined;
  /** Other limits than the standard ones. */
  readonly limits?: TransferLimits;
}

/** One file that is to be on disk. */
export interface FileTask {
  readonly file: RemoteFile;
  readonly url: string;
  /** Where it will be. */
  readonly path: string;
  /** Of the file whose lock says who fetches it. */
  readonly lock: string;
  readonly expected: Expected;
  /** @returns the digest of what has the name already; undefined where that is not the file that is wanted. */
  readonly findDigest: () => Promise<string | undefined>;
}

/** What the files of one fetch share. */
export interface FileOrigin {
  readonly connect: (access: Omit<HubAccess, "onProgress">) => HttpConnection;
  readonly store: Store;
}

/** A file that is on disk. */
export type FetchedFile = RemoteFile & { readonly digest: string };

/**
 * Fetches files, several at once, each verified before it gets its name.
 * @returns the files in the order given.
 * @throws LlmctlError `no-space` before the first byte when there is no room for all of them, or as {@link
 *   downloadBlob}; what the disk throws.
 */
export async function fetchFiles(
  tasks: readonly FileTask[],
  { connect, store }: FileOrigin,
  options: FetchOptions,
): Promise<readonly FetchedFile[]> {
  const transfer = startTransfer(tasks, store, options);
  await transfer.checkSpace();
  const digests = new Map<FileTask, string>();
  await runConcurrently(tasks, { limit: transfer.limits.files, signal: options.signal }, async (task, signal) => {
    const inTime = { ...options, signal };
    digests.set(task, await fetchFile(task, { transfer, connection: connect(inTime), options: inTime }));
  });
  return tasks.map((task) => ({ ...task.file, digest: digests.get(task) ?? "" }));
}

function startTransfer(tasks: readonly FileTask[], store: Store, options: FetchOptions): Transfer {
  const { limits = standardLimits, limitRate, wait = waitRealTime } = options;
  const retries = retryRule(options);
  const ours = new Map<string, number>();
  return {
    limits,
    buffers: new Pool(limits.connections, () => Buffer.allocUnsafeSlow(limits.stepBytes)),
    rate: limitRate === undefined ? undefined : new RateLimit(limitRate, wait),
    retries: { ...retries, onRetry: sayOnce(retries.onRetry) },
    noteBytes: (file, doneBytes) => void ours.set(file.name, doneBytes),
    checkSpace: async () => {
      // The others may be complete, or be fetched by another process right now.
      const have = await Promise.all(
        tasks.map(async ({ file, path }) => ours.get(file.name) ?? (await measureHave(path, file))),
      );
      const missingBytes = tasks.reduce((sum, { file }, i) => sum + file.sizeBytes - (have[i] ?? 0), 0);
      await checkSpace(missingBytes, store);
    },
  };
}

interface FileFetch {
  readonly transfer: Transfer;
  readonly connection: HttpConnection;
  readonly options: FetchOptions;
}

async function fetchFile(task: FileTask, { transfer, connection, options }: FileFetch): Promise<string> {
  const { file, url, path, expected } = task;
  const { signal, onProgress } = options;
  const onWait = () => onProgress({ kind: "waiting", file: file.name });
  const digest = await withBlobLock(task.lock, { signal, onWait }, async () => {
    const onBytes = (doneBytes: number) => {
      transfer.noteBytes(file, doneBytes);
      onProgress({ kind: "bytes", file: file.name, doneBytes, sizeBytes: file.sizeBytes });
    };
    // Another process may have finished it while we waited.
    return (await task.findDigest()) ?? downloadBlob({ url, path, file, expected, hub: connection, transfer, onBytes });
  });
  onProgress({ kind: "file-done", file: file.name, sizeBytes: file.sizeBytes, verified: file.digest !== undefined });
  return digest;
}

/** The bytes of a file that are on disk, also what another process has fetched of it so far. */
export async function measureHave(path: string, { sizeBytes }: RemoteFile): Promise<number> {
  return (await fileSize(path)) === sizeBytes ? sizeBytes : measurePart(path, sizeBytes);
}

/** The bytes that an unfinished download has brought. */
export async function measurePart(path: string, sizeBytes: number): Promise<number> {
  if ((await fileSize(partPath(path))) === undefined) return 0;
  return countBytes((await readRecord(path, sizeBytes)).ranges);
}

/** Undefined for a file that is not there. */
export async function fileSize(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (["ENOENT", "ENAMETOOLONG"].includes(systemErrorCode(error) ?? "")) return undefined;
    throw error;
  }
}
