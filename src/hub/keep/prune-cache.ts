import type { Dirent } from "node:fs";
import { readdir, rm, rmdir } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { systemErrorCode } from "../../base/errors.ts";
import { readBounded } from "../../base/files/read-bounded.ts";
import { expectSafeForRoot } from "../../base/files/trusted-path.ts";
import { withBlobLock } from "../download/blob-lock.ts";
import { findHeldFiles } from "./held-files.ts";
import { refBytes, repoFolder } from "../find/hub-cache.ts";
import { scanCache, scanUrlFolder, type CachedFile, type CachedModel } from "./scan-cache.ts";
import { urlLockPath } from "../find/url-files.ts";

/** What a prune would take away. */
export interface PrunePlan {
  readonly models: readonly CachedModel[];
  /** What that gives back: a blob with several names counts once, one that is kept for another model not at all. */
  readonly freedBytes: number;
  /** Models that no profile uses, and that another process uses. */
  readonly held: readonly CachedModel[];
}

/** Where models are that came from the network. */
export interface ModelFolders {
  readonly hubCache: string;
  /** Of models from plain addresses. */
  readonly urlFolder: string;
}

/**
 * Finds the models that nobody uses.
 * @param used Paths of the shards of every model that a profile names, as they are in snapshots.
 */
export async function planPrune(folders: ModelFolders, used: ReadonlySet<string>): Promise<PrunePlan> {
  const all = [...(await scanCache(folders.hubCache)), ...(await scanUrlFolder(folders.urlFolder))];
  const unused = all.filter(
    ({ of, shards }) =>
      !shards.some(({ path }) => used.has(path)) &&
      shards.every((file) => (of === undefined ? file.blob === file.path : isOfCache(file, folders.hubCache))),
  );
  const paths = unused.flatMap(({ shards }) => shards.flatMap(({ path, blob }) => [path, blob]));
  const heldFiles = await findHeldFiles(paths);
  const isHeld = ({ shards }: CachedModel) =>
    shards.some(({ path, blob }) => heldFiles.has(path) || heldFiles.has(blob));
  const models = unused.filter((model) => !isHeld(model));
  const kept = new Set(
    all.filter((model) => !models.includes(model)).flatMap(({ shards }) => shards.map(({ blob }) => blob)),
  );
  const freed = new Map(
    models.flatMap(({ shards }) =>
      shards.filter(({ blob }) => !kept.has(blob)).map(({ blob, sizeBytes }) => [blob, sizeBytes]),
    ),
  );
  return { models, freedBytes: [...freed.values()].reduce((sum, size) => sum + size, 0), held: unused.filter(isHeld) };
}

/** A link may lead anywhere; what lies outside the repository's own folder is not the cache's to delete. */
function isOfCache({ path, blob }: CachedFile, hubCache: string): boolean {
  const [repo = ""] = path.slice(hubCache.length + 1).split(sep);
  return blob === path || dirname(blob) === join(hubCache, repo, "blobs");
}

/** Takes models away: their names, the blobs that no other name leads to, and the folders and refs left empty. */
export async function prune(
  { models }: PrunePlan,
  { hubCache, urlFolder }: ModelFolders,
  signal: AbortSignal,
): Promise<void> {
  for (const { of, shards } of models) {
    const waiting = { signal, onWait: () => {} };
    if (of === undefined) {
      for (const { path } of shards) {
        expectSafeForRoot(dirname(path));
        await withBlobLock(urlLockPath(urlFolder, path), waiting, () => rm(path, { force: true }));
      }
      continue;
    }
    const repo = repoFolder(hubCache, of.hf);
    expectSafeForRoot(repo.path);
    for (const file of shards) {
      const lock = join(repo.locks, `${basename(file.blob)}.lock`);
      await withBlobLock(lock, waiting, () => removeFile(file, hubCache));
      await removeEmpty(dirname(file.path), join(repo.path, "snapshots"));
    }
    await removeStaleRefs(repo.path);
  }
}

/** The name first: a reader then finds no file, and not a link to nothing. */
async function removeFile({ path, blob }: CachedFile, hubCache: string): Promise<void> {
  for (const file of [path, blob]) expectSafeForRoot(dirname(file));
  await rm(path, { force: true });
  const others = await scanCache(hubCache);
  if (!others.some(({ shards }) => shards.some((other) => other.blob === blob))) await rm(blob, { force: true });
}

async function removeEmpty(folder: string, top: string): Promise<void> {
  for (let at = folder; at.startsWith(top + sep); at = dirname(at)) {
    if (!(await removeIfEmpty(at))) return;
  }
}

async function removeIfEmpty(folder: string): Promise<boolean> {
  try {
    await rmdir(folder);
    return true;
  } catch (error) {
    if (["ENOTEMPTY", "EEXIST", "ENOENT"].includes(systemErrorCode(error) ?? "")) return false;
    throw error;
  }
}

/** A ref to a snapshot that is gone makes the Python client call the cache corrupted. */
async function removeStaleRefs(repo: string): Promise<void> {
  const commits = new Set((await listEntries(join(repo, "snapshots"))).map(({ name }) => name));
  for (const entry of (await listEntries(join(repo, "refs"))).filter((one) => one.isFile())) {
    const path = join(entry.parentPath, entry.name);
    if (commits.has(((await readBounded(path, refBytes)) ?? "").trim())) continue;
    expectSafeForRoot(entry.parentPath);
    await rm(path);
  }
}

async function listEntries(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { recursive: basename(folder) === "refs", withFileTypes: true });
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return [];
    throw error;
  }
}
