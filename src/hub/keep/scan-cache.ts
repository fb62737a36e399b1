import { readdir, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import pMap from "p-map";
import { systemErrorCode } from "../../base/errors.ts";
import { listTree } from "../../base/files/list-tree.ts";
import { findQuant } from "../find/select-files.ts";
import { firstShard, parseShardName } from "../find/shard-names.ts";

/** A model in the Hugging Face cache, whoever has fetched it, or among those that came from plain addresses. */
export interface CachedModel {
  /** Repository and commit; undefined for one from an address. */
  readonly of: { readonly hf: string; readonly commit: string } | undefined;
  /** The first shard, relative to the repository, with `/`. */
  readonly name: string;
  readonly quant: string | undefined;
  readonly shards: readonly CachedFile[];
  /** How many shards of the set are not here. */
  readonly missing: number;
}

export interface CachedFile {
  /** In the snapshot. */
  readonly path: string;
  /** What the path leads to: the blob, or the file itself where the cache was made without links. */
  readonly blob: string;
  readonly sizeBytes: number;
}

/** All GGUF models of the Hugging Face cache, by repository; what cannot be read is left out. */
export async function scanCache(hubCache: string): Promise<readonly CachedModel[]> {
  const models: CachedModel[] = [];
  for (const folder of (await listFolder(hubCache)).filter((name) => name.startsWith("models--"))) {
    const hf = folder.slice("models--".length).replace("--", "/");
    const snapshots = join(hubCache, folder, "snapshots");
    for (const commit of await listFolder(snapshots))
      models.push(...(await scanFolder(join(snapshots, commit), { hf, commit })));
  }
  return models;
}

/** All models that came from plain addresses. */
export async function scanUrlFolder(folder: string): Promise<readonly CachedModel[]> {
  return scanFolder(folder, undefined);
}

async function scanFolder(folder: string, of: CachedModel["of"]): Promise<CachedModel[]> {
  const names = (await listFolder(folder, true))
    .map((name) => name.split(sep).join("/"))
    .filter((name) => /\.gguf$/i.test(name));
  // Grouped by the files that exist: one name can claim 99,999 others.
  const sets = new Map<string, string[]>();
  for (const name of names) {
    const first = firstShard(name);
    const set = sets.get(first);
    if (set === undefined) sets.set(first, [name]);
    else set.push(name);
  }
  const models = await pMap(sets, ([name, set]) => readSet(folder, name, set, of), { concurrency: filesAtOnce });
  return models.filter(({ shards }) => shards.length > 0);
}

/** Files that are examined at once. */
const filesAtOnce = 64;

async function readSet(
  folder: string,
  name: string,
  set: readonly string[],
  of: CachedModel["of"],
): Promise<CachedModel> {
  const shards = await pMap(set, (shard) => examineFile(join(folder, shard)), { concurrency: filesAtOnce });
  const found = shards.flat();
  return {
    of,
    name,
    quant: findQuant(name),
    shards: found,
    missing: (parseShardName(name)?.count ?? 1) - found.length,
  };
}

/** Empty for a file that is not there, such as one whose blob is gone. */
async function examineFile(path: string): Promise<CachedFile[]> {
  try {
    const blob = await realpath(path);
    const stats = await stat(blob);
    return stats.isFile() ? [{ path, blob, sizeBytes: stats.size }] : [];
  } catch (error) {
    return emptyOrThrow(error);
  }
}

async function listFolder(path: string, recursive = false): Promise<string[]> {
  try {
    return (await (recursive ? listTree(path) : readdir(path))).toSorted();
  } catch (error) {
    return emptyOrThrow(error);
  }
}

function emptyOrThrow(error: unknown): [] {
  if (["ENOENT", "ENOTDIR", "EACCES", "ELOOP", "ENAMETOOLONG"].includes(systemErrorCode(error) ?? "")) return [];
  throw error;
}
