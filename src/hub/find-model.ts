import { constants } from "node:fs";
import { access, readdir, stat } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import type { HubModelRef, ModelRef } from "../profiles/schema.ts";
import { findCommit, repoFolder } from "./hub-cache.ts";
import type { ModelFiles } from "./model-files.ts";
import { describeRef, matchFiles, mismatchError } from "./select-files.ts";
import { listShardNames, parseShardName } from "./shard-names.ts";

export interface FindOptions {
  /** The Hugging Face cache, as `findPaths().hub` gives it. */
  readonly hubCache: string;
  /** Folders that may hold models as `OWNER/REPO/…/FILE` or `REPO/…/FILE`. */
  readonly modelDirs: readonly string[];
  /** Name of the profile, for messages. */
  readonly profile: string;
  /** Where the reference was written, for messages. */
  readonly at?: string | undefined;
}

/** A Hub reference looked for on disk: its files, or what kept them from being complete. */
export type HubSearch = { readonly files: ModelFiles } | { readonly absent: readonly string[] };

/**
 * Finds a model's files on disk without network and without reading their content.
 * @param ref A path (of the first shard), or a Hub model, which is looked for in the Hugging Face cache and then in `modelDirs`.
 * @throws LlmctlError `model-missing`, `model-empty`, `model-not-a-file`, `not-first-shard`, `model-ambiguous` or `permission-denied`.
 */
export async function findModel(ref: ModelRef, options: FindOptions): Promise<ModelFiles> {
  if (typeof ref === "string") return findLocal(ref, options);
  const search = await searchHubModel(ref, options);
  if ("files" in search) return search.files;
  const what = search.absent.length === 0 ? "is not on this machine" : `is not complete: ${search.absent.join(", ")} is missing`;
  throw new LlmctlError("model-missing", `${describeRef(ref)} ${what}`, {
    exit: "missingFile",
    ...placeOf(options),
    fix: `run "llmctl pull ${options.profile}"`,
  });
}

/**
 * Looks for a Hub model in the Hugging Face cache and in `modelDirs`; the first complete one wins.
 * @throws LlmctlError as {@link findModel}, but for a model that is not there.
 */
export async function searchHubModel(ref: HubModelRef, options: FindOptions): Promise<HubSearch> {
  let absent: readonly string[] = [];
  for (const place of await listPlaces(ref, options)) {
    const search = await searchFolder(place, ref, options);
    if ("files" in search) return search;
    if (absent.length === 0) absent = search.absent;
  }
  return { absent };
}

interface Place {
  readonly folder: string;
  readonly source: string;
}

async function listPlaces(ref: HubModelRef, options: FindOptions): Promise<Place[]> {
  const repo = repoFolder(options.hubCache, ref.hf);
  const commit = await findCommit(repo, ref.revision ?? "main").catch((error: unknown) => absentOrThrow(error, repo.path, options));
  const cached = commit === undefined ? [] : [{ folder: join(repo.path, "snapshots", commit), source: "Hugging Face cache" }];
  const folders = options.modelDirs.flatMap((dir) => [join(dir, ref.hf), join(dir, basename(ref.hf))]);
  return [...cached, ...folders.map((folder) => ({ folder, source: folder }))];
}

async function searchFolder(place: Place, ref: HubModelRef, options: FindOptions): Promise<HubSearch> {
  const match = matchFiles(await listNames(place.folder, options), ref);
  if (match.kind === "none") return { absent: [] };
  if (match.kind === "incomplete") return { absent: match.absent.map((name) => join(place.folder, name)) };
  if (match.kind !== "one") throw mismatchError(match, ref, options.at);
  const paths = match.names.map((name) => join(place.folder, name));
  const sizes = await Promise.all(paths.map((path) => measure(path, options, `delete it, then run "llmctl pull ${options.profile}"`)));
  return completeFiles(paths, sizes, place.source);
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

/** The `.gguf` files below a folder, relative to it, with `/`. */
async function listNames(folder: string, options: FindOptions): Promise<string[]> {
  try {
    const names = await readdir(folder, { recursive: true });
    return names.filter((name) => /\.gguf$/i.test(name)).map((name) => name.split(sep).join("/"));
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
