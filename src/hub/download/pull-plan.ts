import type { Store } from "./free-space.ts";
import type { HubFile } from "../find/list-model.ts";
import type { ModelFiles } from "../find/model-files.ts";
import type { RemoteFile } from "../http/remote-file.ts";
import type { UrlFile } from "../find/url-files.ts";

/** What a pull would do. */
export type PullPlan = { readonly kind: "complete"; readonly files: ModelFiles } | FetchPlan;

export type FetchPlan = HubFetchPlan | UrlFetchPlan;

interface ToFetch {
  readonly kind: "fetch";
  readonly missingBytes: number;
  readonly store: Store;
}

interface HubFetchPlan extends ToFetch {
  readonly commit: string;
  readonly files: readonly (HubFile & OnDisk)[];
}

/** From a plain address, which has no commits. */
export interface UrlFetchPlan extends ToFetch {
  readonly commit?: undefined;
  readonly files: readonly PlannedUrlFile[];
}

export interface PlannedUrlFile extends UrlFile, RemoteFile, OnDisk {
  /** From the profile, else from the lock, unless an update is wanted. */
  readonly digest: string | undefined;
  /** The source of the digest. */
  readonly digestOf: "profile" | "lock" | undefined;
  /** The server's name for this content: its ETag or time of change. */
  readonly version: string | undefined;
  /** The file at the final path is an earlier version. */
  readonly isStale: boolean;
}

interface OnDisk {
  /** Bytes that are already on disk; `sizeBytes` when the file is complete. */
  readonly haveBytes: number;
}

export function sumMissing(files: readonly (OnDisk & { readonly sizeBytes: number })[]): number {
  return files.reduce((sum, file) => sum + file.sizeBytes - file.haveBytes, 0);
}
