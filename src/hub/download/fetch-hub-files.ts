import { join } from "node:path";
import type { HubModelRef } from "../../profiles/schema/schema.ts";
import type { Expected } from "./download-blob.ts";
import { fetchFiles, fileSize, type FetchOptions, type FileTask } from "./fetch-files.ts";
import type { Store } from "./free-space.ts";
import { blobPath, linkBlob, repoFolder, writeRef } from "../find/hub-cache.ts";
import { connect, fileUrl } from "../http/hub-access.ts";
import type { HubFile } from "../find/list-model.ts";
import type { ModelFiles } from "../find/model-files.ts";

const expected: Expected = {
  code: "hub-digest-mismatch",
  content: "what the Hub lists",
  fix: "something between here and the Hub changes the data: check HF_ENDPOINT and proxies, then pull again",
};

export function hubStore(hubCache: string): Store {
  return { folder: hubCache, name: "the Hugging Face cache", setting: "HF_HUB_CACHE" };
}

/**
 * Fetches the files of one commit into the Hugging Face cache, and links them in its snapshot.
 * @returns the files in the order given.
 * @throws LlmctlError as {@link fetchFiles}; what the disk throws.
 */
export async function fetchHubFiles(
  ref: HubModelRef,
  { commit, files }: { readonly commit: string; readonly files: readonly HubFile[] },
  options: FetchOptions & { readonly hubCache: string },
): Promise<ModelFiles> {
  const repo = repoFolder(options.hubCache, ref.hf);
  const tasks = files.map((file): FileTask => {
    const path = blobPath(repo, file.digest);
    return {
      file,
      url: fileUrl(options.hub, ref.hf, commit, file.name),
      path,
      lock: join(repo.locks, `${file.digest}.lock`),
      expected,
      // A blob gets its name only after its digest was right. The size check finds a blob that was cut off later.
      findDigest: async () => ((await fileSize(path)) === file.sizeBytes ? file.digest : undefined),
    };
  });
  await fetchFiles(tasks, { connect, store: hubStore(options.hubCache) }, options);
  const shards: { path: string; sizeBytes: number }[] = [];
  for (const { name, digest, sizeBytes } of files)
    shards.push({ path: await linkBlob(repo, commit, name, digest), sizeBytes });
  await writeRef(repo, ref.revision ?? "main", commit);
  return { shards, source: "Hugging Face cache" };
}
