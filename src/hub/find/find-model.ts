import { readdir } from "node:fs/promises";
import { basename, join, sep } from "node:path";
import pMap from "p-map";
import { LlmctlError } from "../../base/errors.ts";
import type { Fix } from "../../base/fix.ts";
import { listTree } from "../../base/files/list-tree.ts";
import { listSome } from "../../base/text/list-some.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { HubModelRef, ModelRef, Profile, RemoteModelRef, UrlModelRef } from "../../profiles/schema/schema.ts";
import { findCommit, repoFolder } from "./hub-cache.ts";
import { absentOrThrow, measureFile, placeOf } from "./measure-file.ts";
import type { ModelFiles } from "./model-files.ts";
import { modelLockFolder, readModelLock, type ModelLock } from "./model-lock.ts";
import { describeRef } from "./describe-ref.ts";
import { pullFix } from "./pull-fix.ts";
import { matchFiles, mismatchError } from "./select-files.ts";
import { listShardNames, parseShardName } from "./shard-names.ts";
import { listUrlFiles, type UrlFile } from "./url-files.ts";

/** The sizes of a large set are asked for together, with few requests in the queue of the file system. */
const filesAtOnce = 64;

export interface FindOptions {
  /** The Hugging Face cache, as `findPaths().hub` gives it. */
  readonly hubCache: string;
  /** Folders that may hold models as `OWNER/REPO/…/FILE` or `REPO/…/FILE`. */
  readonly modelDirs: readonly string[];
  /** Where llama.cpp keeps what it downloads itself; not looked at unless told. */
  readonly llamaCache?: string;
  /** Where models of plain addresses are kept; needed for those alone. */
  readonly urlFolder?: string;
  /** Where references are locked to commits, as {@link modelLockFolder} gives it; none is unless told. */
  readonly lockFolder?: string;
  /** Name of the profile, for messages; undefined for a model that none names. */
  readonly profile: string | undefined;
  /** Where the reference was written, for messages. */
  readonly at?: string | undefined;
}

/** A reference looked for on disk: its files, or what kept them from being complete, such as `PATH is missing`. */
export type ModelSearch = { readonly files: ModelFiles } | { readonly absent: readonly string[] };

/** Where the models of a profile are looked for. */
export function findOptions({ name, values }: Profile, paths: Paths): Omit<FindOptions, "at"> {
  const { hub, llamaCache, state } = paths;
  const ours = { urlFolder: urlModelFolder(paths), lockFolder: modelLockFolder(state) };
  return { hubCache: hub, llamaCache, ...ours, modelDirs: values.model_dirs, profile: name };
}

/** Folder of the models that were fetched from plain addresses. */
export function urlModelFolder({ data }: Paths): string {
  return join(data, "models");
}

/**
 * Finds a model's files on disk without network and without reading their content.
 * @param ref A path (of the first shard), a Hub model, which is looked for in the Hugging Face cache and then in
 *   `modelDirs`, or an address.
 * @throws LlmctlError `model-missing`, `bad-sha256`, `model-empty`, `model-not-a-file`, `not-first-shard`,
 *   `model-ambiguous` or `permission-denied`.
 */
export async function findModel(ref: ModelRef, options: FindOptions): Promise<ModelFiles> {
  if (typeof ref === "string") return findLocal(ref, options);
  const search = await searchModel(ref, options);
  if ("files" in search) return search.files;
  const what =
    search.absent.length === 0 ? "is not on this machine" : `is not complete: ${listSome(search.absent, 10)}`;
  throw new LlmctlError("model-missing", `${describeRef(ref)} ${what}`, {
    exit: "missingFile",
    ...placeOf(options),
    fix: pullFix(options.profile),
  });
}

/**
 * Looks for a model of the Hub or of an address. A locked reference is found only where the files are those it is
 * locked to.
 * @throws LlmctlError as {@link findModel}, but for a model that is not there.
 */
export async function searchModel(ref: RemoteModelRef, options: FindOptions): Promise<ModelSearch> {
  const lock = options.lockFolder === undefined ? undefined : await readModelLock(options.lockFolder, ref);
  return "url" in ref ? searchUrlModel(ref, lock, options) : searchHubModel(ref, lock, options);
}

/** A file has its name only once it was whole, so one without a lock is used as it is. */
async function searchUrlModel(
  ref: UrlModelRef,
  lock: ModelLock | undefined,
  options: FindOptions,
): Promise<ModelSearch> {
  const files = listUrlFiles(ref, options);
  const paths = files.map(({ path }) => path);
  const sizes = await pMap(paths, (path) => measureFile(path, options, deleteFix(options)), {
    concurrency: filesAtOnce,
  });
  if (sizes.every((size) => size === undefined)) return { absent: [] };
  const absent = files.flatMap((file, i) => findUrlFault(file, sizes[i], lock?.files[i]) ?? []);
  return absent.length === 0 ? completeFiles(paths, sizes, urlSource) : { absent };
}

/** Where the files of addresses are, for people. */
export const urlSource = "llmctl's own downloads";

function findUrlFault(
  { path, digest }: UrlFile,
  sizeBytes: number | undefined,
  locked: ModelLock["files"][number] | undefined,
) {
  const isOther = sizeBytes !== undefined && digest !== undefined && locked !== undefined && locked.digest !== digest;
  return isOther
    ? `${path} has another sha256 than the profile`
    : findFault(path, sizeBytes, locked?.sizeBytes, "when it was fetched");
}

function deleteFix({ profile }: FindOptions): Fix {
  return profile === undefined ? "delete it" : pullFix(profile, { before: "delete it, then run" });
}

/** Looks in the Hugging Face cache, in `modelDirs` and in llama.cpp's own cache; the first complete one wins. */
async function searchHubModel(
  ref: HubModelRef,
  lock: ModelLock | undefined,
  options: FindOptions,
): Promise<ModelSearch> {
  let absent: readonly string[] = [];
  for (const place of await listPlaces(ref, lock, options)) {
    const search = await searchPlace(place, lock, options);
    if ("files" in search) return search;
    if (absent.length === 0) absent = search.absent;
  }
  return { absent };
}

/** A folder that may hold a repository's files, and how they are named there. */
interface SearchPlace {
  readonly folder: string;
  readonly source: string;
  /** The reference in the words of this place. */
  readonly ref: HubModelRef;
  /** Before the name of every file. */
  readonly prefix: string;
}

async function listPlaces(ref: HubModelRef, lock: ModelLock | undefined, options: FindOptions): Promise<SearchPlace[]> {
  const { hubCache, modelDirs, llamaCache } = options;
  const cached = await listSnapshots(hubCache, "Hugging Face cache", { ref, lock, options });
  const folders = modelDirs.flatMap((dir) => [join(dir, ref.hf), join(dir, basename(ref.hf))]);
  const plain = folders.map((folder) => ({ folder, source: folder, ref, prefix: "" }));
  if (llamaCache === undefined) return [...cached, ...plain];
  const source = "llama.cpp cache";
  // v0.5.0 keeps the Hub's own layout (hf-cache.cpp); b7698 one folder, with "_" for every "/" of repository and file
  // (arg.cpp).
  const own = await listSnapshots(llamaCache, source, { ref, lock, options });
  const flatRef = ref.file === undefined ? ref : { ...ref, file: flatten(ref.file) };
  return [...cached, ...plain, ...own, { folder: llamaCache, source, ref: flatRef, prefix: `${flatten(ref.hf)}_` }];
}

async function listSnapshots(
  cache: string,
  source: string,
  {
    ref,
    lock,
    options,
  }: { readonly ref: HubModelRef; readonly lock: ModelLock | undefined; readonly options: FindOptions },
): Promise<SearchPlace[]> {
  const repo = repoFolder(cache, ref.hf);
  const known = lock?.commit ?? findCommit(repo, ref.revision ?? "main");
  const commit = await Promise.resolve(known).catch((error: unknown) => absentOrThrow(error, repo.path, options));
  return commit === undefined ? [] : [{ folder: join(repo.path, "snapshots", commit), source, ref, prefix: "" }];
}

async function searchPlace(
  { folder, source, ref, prefix }: SearchPlace,
  lock: ModelLock | undefined,
  options: FindOptions,
): Promise<ModelSearch> {
  const match = matchFiles(await listNames(folder, prefix, options), ref);
  if (match.kind === "none") return { absent: [] };
  if (match.kind === "incomplete")
    return { absent: match.absent.map((name) => `${join(folder, prefix + name)} is missing`) };
  if (match.kind !== "one") throw mismatchError(match, ref, options.at);
  const paths = match.names.map((name) => join(folder, prefix + name));
  const sizes = await pMap(paths, (path) => measureFile(path, options, deleteFix(options)), {
    concurrency: filesAtOnce,
  });
  const absent = paths.flatMap(
    (path, i) => findFault(path, sizes[i], lock?.files[i]?.sizeBytes, "at the commit in use") ?? [],
  );
  return absent.length === 0 ? completeFiles(paths, sizes, source) : { absent };
}

function findFault(
  path: string,
  sizeBytes: number | undefined,
  lockedBytes: number | undefined,
  then: string,
): string | undefined {
  if (sizeBytes === undefined) return `${path} is missing`;
  if (lockedBytes === undefined || sizeBytes === lockedBytes) return undefined;
  return `${path} has ${sizeBytes} bytes, and ${lockedBytes} ${then}`;
}

function flatten(name: string): string {
  return name.replaceAll("/", "_");
}

async function findLocal(path: string, options: FindOptions): Promise<ModelFiles> {
  const fix = "check the path";
  const shard = parseShardName(path);
  const paths = listShardNames(path);
  if (shard !== undefined && shard.index !== 1) {
    throw new LlmctlError("not-first-shard", `"${path}" is shard ${shard.index} of ${shard.count}, not the first`, {
      exit: "config",
      ...placeOf(options),
      fix: `name "${paths[0]}"`,
    });
  }
  const sizes = await pMap(paths, (each) => measureFile(each, options, fix), { concurrency: filesAtOnce });
  const search = completeFiles(paths, sizes, "local file");
  if ("files" in search) return search.files;
  const of = paths.length === 1 ? "" : ` (${search.absent.length} of ${paths.length} shards)`;
  const message = `model file "${listSome(search.absent, 10, '", "')}" is missing${of}`;
  throw new LlmctlError("model-missing", message, { exit: "missingFile", ...placeOf(options), fix });
}

function completeFiles(paths: readonly string[], sizes: readonly (number | undefined)[], source: string): ModelSearch {
  const shards: { path: string; sizeBytes: number }[] = [];
  const absent: string[] = [];
  for (const [i, path] of paths.entries()) {
    const sizeBytes = sizes[i];
    if (sizeBytes === undefined) absent.push(path);
    else shards.push({ path, sizeBytes });
  }
  return absent.length === 0 ? { files: { shards, source } } : { absent };
}

/**
 * The `.gguf` files below a folder whose names start with the prefix, relative to it and without the prefix, with `/`.
 */
async function listNames(folder: string, prefix: string, options: FindOptions): Promise<string[]> {
  try {
    const names = await (prefix === "" ? listTree(folder) : readdir(folder));
    const models = names.filter((name) => name.startsWith(prefix) && /\.gguf$/i.test(name));
    return models.map((name) => name.slice(prefix.length).split(sep).join("/"));
  } catch (error) {
    return absentOrThrow(error, folder, options) ?? [];
  }
}
