import { constants } from "node:fs";
import { access, readdir, stat } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import type { Paths } from "../base/paths.ts";
import type { HubModelRef, ModelRef, Profile } from "../profiles/schema.ts";
import { findCommit, repoFolder } from "./hub-cache.ts";
import type { ModelFiles } from "./model-files.ts";
import { modelLockFolder, readModelLock, type ModelLock } from "./model-lock.ts";
import { describeRef, matchFiles, mismatchError } from "./select-files.ts";
import { listShardNames, parseShardName } from "./shard-names.ts";

export interface FindOptions {
  /** The Hugging Face cache, as `findPaths().hub` gives it. */
  readonly hubCache: string;
  /** Folders that may hold models as `OWNER/REPO/…/FILE` or `REPO/…/FILE`. */
  readonly modelDirs: readonly string[];
  /** Where llama.cpp keeps what it downloads itself; not looked at unless told. */
  readonly llamaCache?: string;
  /** Where references are locked to commits, as {@link modelLockFolder} gives it; none is unless told. */
  readonly lockFolder?: string;
  /** Name of the profile, for messages. */
  readonly profile: string;
  /** Where the reference was written, for messages. */
  readonly at?: string | undefined;
}

/** A Hub reference looked for on disk: its files, or what kept them from being complete, such as `PATH is missing`. */
export type HubSearch = { readonly files: ModelFiles } | { readonly absent: readonly string[] };

/** Where the models of a profile are looked for. */
export function findOptions({ name, values }: Profile, paths: Paths): Omit<FindOptions, "at"> {
  const { hub, llamaCache, state } = paths;
  return { hubCache: hub, llamaCache, lockFolder: modelLockFolder(state), modelDirs: values.model_dirs, profile: name };
}

/**
 * Finds a model's files on disk without network and without reading their content.
 * @param ref A path (of the first shard), or a Hub model, which is looked for in the Hugging Face cache and then in `modelDirs`.
 * @throws LlmctlError `model-missing`, `model-empty`, `model-not-a-file`, `not-first-shard`, `model-ambiguous` or `permission-denied`.
 */
export async function findModel(ref: ModelRef, options: FindOptions): Promise<ModelFiles> {
  if (typeof ref === "string") return findLocal(ref, options);
  const search = await searchHubModel(ref, options);
  if ("files" in search) return search.files;
  const what = search.absent.length === 0 ? "is not on this machine" : `is not complete: ${search.absent.join(", ")}`;
  throw new LlmctlError("model-missing", `${describeRef(ref)} ${what}`, {
    exit: "missingFile",
    ...placeOf(options),
    fix: `run "llmctl pull ${options.profile}"`,
  });
}

/**
 * Looks for a Hub model in the Hugging Face cache, in `modelDirs` and in llama.cpp's own cache; the first complete one wins. A locked
 * reference is found only where the sizes are those of its commit.
 * @throws LlmctlError as {@link findModel}, but for a model that is not there.
 */
export async function searchHubModel(ref: HubModelRef, options: FindOptions): Promise<HubSearch> {
  const lock = options.lockFolder === undefined ? undefined : await readModelLock(options.lockFolder, ref);
  let absent: readonly string[] = [];
  for (const place of await listPlaces(ref, lock, options)) {
    const search = await searchPlace(place, lock, options);
    if ("files" in search) return search;
    if (absent.length === 0) absent = search.absent;
  }
  return { absent };
}

/** A folder that may hold a repository's files, and how they are named there. */
interface Place {
  readonly folder: string;
  readonly source: string;
  /** The reference in the words of this place. */
  readonly ref: HubModelRef;
  /** Before the name of every file. */
  readonly prefix: string;
}

async function listPlaces(ref: HubModelRef, lock: ModelLock | undefined, options: FindOptions): Promise<Place[]> {
  const { hubCache, modelDirs, llamaCache } = options;
  const cached = await listSnapshots(hubCache, "Hugging Face cache", { ref, lock, options });
  const folders = modelDirs.flatMap((dir) => [join(dir, ref.hf), join(dir, basename(ref.hf))]);
  const plain = folders.map((folder) => ({ folder, source: folder, ref, prefix: "" }));
  if (llamaCache === undefined) return [...cached, ...plain];
  const source = "llama.cpp cache";
  // v0.5.0 keeps the Hub's own layout (hf-cache.cpp); b7698 one folder, with "_" for every "/" of repository and file (arg.cpp).
  const own = await listSnapshots(llamaCache, source, { ref, lock, options });
  const flatRef = ref.file === undefined ? ref : { ...ref, file: flatten(ref.file) };
  return [...cached, ...plain, ...own, { folder: llamaCache, source, ref: flatRef, prefix: `${flatten(ref.hf)}_` }];
}

async function listSnapshots(
  cache: string,
  source: string,
  { ref, lock, options }: { readonly ref: HubModelRef; readonly lock: ModelLock | undefined; readonly options: FindOptions },
): Promise<Place[]> {
  const repo = repoFolder(cache, ref.hf);
  const known = lock?.commit ?? findCommit(repo, ref.revision ?? "main");
  const commit = await Promise.resolve(known).catch((error: unknown) => absentOrThrow(error, repo.path, options));
  return commit === undefined ? [] : [{ folder: join(repo.path, "snapshots", commit), source, ref, prefix: "" }];
}

async function searchPlace({ folder, source, ref, prefix }: Place, lock: ModelLock | undefined, options: FindOptions): Promise<HubSearch> {
  const match = matchFiles(await listNames(folder, prefix, options), ref);
  if (match.kind === "none") return { absent: [] };
  if (match.kind === "incomplete") return { absent: match.absent.map((name) => `${join(folder, prefix + name)} is missing`) };
  if (match.kind !== "one") throw mismatchError(match, ref, options.at);
  const paths = match.names.map((name) => join(folder, prefix + name));
  const sizes = await Promise.all(paths.map((path) => measure(path, options, `delete it, then run "llmctl pull ${options.profile}"`)));
  const absent = paths.flatMap((path, i) => findFault(path, sizes[i], lock?.files[i]?.sizeBytes) ?? []);
  return absent.length === 0 ? completeFiles(paths, sizes, source) : { absent };
}

function findFault(path: string, sizeBytes: number | undefined, lockedBytes: number | undefined): string | undefined {
  if (sizeBytes === undefined) return `${path} is missing`;
  if (lockedBytes === undefined || sizeBytes === lockedBytes) return undefined;
  return `${path} has ${sizeBytes} bytes, and ${lockedBytes} at the commit in use`;
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
  const sizes = await Promise.all(paths.map((each) => measure(each, options, fix)));
  const search = completeFiles(paths, sizes, "local file");
  if ("files" in search) return search.files;
  const of = paths.length === 1 ? "" : ` (${search.absent.length} of ${paths.length} shards)`;
  const message = `model file "${search.absent.join('", "')}" is missing${of}`;
  throw new LlmctlError("model-missing", message, { exit: "missingFile", ...placeOf(options), fix });
}

function completeFiles(paths: readonly string[], sizes: readonly (number | undefined)[], source: string): HubSearch {
  const shards: { path: string; sizeBytes: number }[] = [];
  const absent: string[] = [];
  for (const [i, path] of paths.entries()) {
    const sizeBytes = sizes[i];
    if (sizeBytes === undefined) absent.push(path);
    else shards.push({ path, sizeBytes });
  }
  return absent.length === 0 ? { files: { shards, source } } : { absent };
}

/** The size of a readable, regular, non-empty file; undefined when there is none (a dangling link counts as none). */
async function measure(path: string, options: FindOptions, fix: string): Promise<number | undefined> {
  try {
    const stats = await stat(path);
    if (!stats.isFile())
      throw unusable("model-not-a-file", `"${path}" is ${stats.isDirectory() ? "a folder" : "not a regular file"}`, fix, options);
    if (stats.size === 0) throw unusable("model-empty", `"${path}" is empty`, fix, options);
    await access(path, constants.R_OK);
    return stats.size;
  } catch (error) {
    return absentOrThrow(error, path, options);
  }
}

/** The `.gguf` files below a folder whose names start with the prefix, relative to it and without the prefix, with `/`. */
async function listNames(folder: string, prefix: string, options: FindOptions): Promise<string[]> {
  try {
    const names = await readdir(folder, { recursive: prefix === "" });
    const models = names.filter((name) => name.startsWith(prefix) && /\.gguf$/i.test(name));
    return models.map((name) => name.slice(prefix.length).split(sep).join("/"));
  } catch (error) {
    return absentOrThrow(error, folder, options) ?? [];
  }
}

/** Undefined for "there is no such file"; @throws anything else, permission problems as an LlmctlError. */
function absentOrThrow(error: unknown, path: string, options: FindOptions): undefined {
  const code = systemErrorCode(error);
  if (code === "ENOENT" || code === "ENOTDIR") return undefined;
  if (code !== "EACCES" && code !== "EPERM") throw error;
  throw new LlmctlError("permission-denied", `no permission to read "${path}"`, {
    exit: "permission",
    ...placeOf(options),
    fix: `check its permissions: ls -ld "${dirname(path)}" "${path}"`,
    cause: error,
  });
}

function unusable(code: string, message: string, fix: string, options: FindOptions): LlmctlError {
  return new LlmctlError(code, message, { exit: "missingFile", ...placeOf(options), fix });
}

function placeOf({ at }: FindOptions): { at?: string } {
  return at === undefined ? {} : { at };
}
