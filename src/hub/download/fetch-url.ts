import type { Expected } from "./download-blob.ts";
import { fetchFiles, fileSize, type FetchOptions, type FileTask } from "./fetch-files.ts";
import { urlSource } from "../find/find-model.ts";
import type { Store } from "./free-space.ts";
import { hashFile } from "../keep/hash-file.ts";
import { connectWithoutToken } from "../http/hub-access.ts";
import type { ModelFiles } from "../find/model-files.ts";
import type { ModelLock } from "../find/model-lock.ts";
import { pullFix } from "../find/pull-fix.ts";
import type { PlannedUrlFile, UrlFetchPlan } from "./pull-plan.ts";
import { urlLockPath } from "../find/url-files.ts";
import { findVerified } from "../keep/verified-files.ts";

export function urlStore(folder = ""): Store {
  return { folder, name: "llmctl's data folder", setting: "XDG_DATA_HOME" };
}

interface UrlFetchOptions extends FetchOptions {
  readonly lockFolder?: string;
  readonly profile: string | undefined;
}

/**
 * Fetches the files of an address. Each file is verified before it gets its final name.
 * @returns the files, first shard first, and the lock for them.
 * @throws LlmctlError as {@link fetchFiles}; what the disk throws.
 */
export async function fetchUrlFiles(
  plan: UrlFetchPlan,
  options: UrlFetchOptions,
): Promise<{ files: ModelFiles; lock: ModelLock }> {
  const tasks = plan.files.map((file): FileTask => {
    const { name, sizeBytes, digest, url, path } = file;
    const lock = urlLockPath(plan.store.folder, path);
    const findDigest = () => findDigestHere(file, options);
    return { file: { name, sizeBytes, digest }, url, path, lock, expected: expect(file, options), findDigest };
  });
  const fetched = await fetchFiles(tasks, { connect: connectWithoutToken, store: plan.store }, options);
  const shards = plan.files.map(({ path, sizeBytes }) => ({ path, sizeBytes }));
  return {
    files: { shards, source: urlSource },
    lock: { files: fetched.map((file, i) => ({ ...file, version: plan.files[i]?.version })) },
  };
}

/** The name does not tell the content, so a file of the right size is hashed, unless its digest is known. */
async function findDigestHere(
  { path, sizeBytes, digest, isStale }: PlannedUrlFile,
  options: UrlFetchOptions,
): Promise<string | undefined> {
  if (isStale || (await fileSize(path)) !== sizeBytes) return undefined;
  const verified = options.lockFolder === undefined ? undefined : await findVerified(options.lockFolder, path);
  const found = verified?.digest ?? (await hashFile(path, "", { signal: options.signal, onBytes: () => {} }));
  return digest === undefined || digest === found ? found : undefined;
}

function expect({ digestOf }: PlannedUrlFile, { profile }: UrlFetchOptions): Expected {
  switch (digestOf) {
    case "profile":
      return {
        code: "url-digest-mismatch",
        content: "what the profile's sha256 names",
        fix: "compare the sha256 with the publisher's; if they are equal, something on the way changes the data",
      };
    case "lock":
      return {
        code: "url-digest-mismatch",
        content: "what was first fetched from there",
        fix: pullFix(profile, { update: true, after: "to accept the new content" }),
      };
    case undefined:
      return {
        code: "url-not-gguf",
        content: "a GGUF file",
        fix: "use the address of the file itself",
      };
  }
}
