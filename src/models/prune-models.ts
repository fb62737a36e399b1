import { LlmctlError } from "../base/errors.ts";
import type { Paths } from "../base/files/paths.ts";
import { findOptions, searchModel, urlModelFolder } from "../hub/find/find-model.ts";
import { matchFiles } from "../hub/find/select-files.ts";
import { firstShard } from "../hub/find/shard-names.ts";
import { listUrlFiles } from "../hub/find/url-files.ts";
import { planPrune, prune, type ModelFolders, type PrunePlan } from "../hub/keep/prune-cache.ts";
import { scanCache, type CachedModel } from "../hub/keep/scan-cache.ts";
import type { LoadOptions } from "../profiles/load.ts";
import type { Profile, RemoteModelRef } from "../profiles/schema/schema.ts";
import { readAllProfiles } from "./all-profiles.ts";
import { listRemoteRefs } from "./models-on-disk.ts";

/**
 * Finds the fetched models that no profile and no process uses. Deletes nothing.
 * @throws LlmctlError of a profile that cannot be read: the models that it uses are not known.
 */
export async function planModelPrune(paths: Paths, load: LoadOptions): Promise<PrunePlan> {
  const { profiles, problems } = await readAllProfiles(paths, load);
  const [problem] = problems;
  if (problem !== undefined) throw cannotPrune(problem);
  return planPrune(modelFolders(paths), await listUsedPaths(profiles, paths));
}

/** Deletes the planned models. */
export async function pruneModels(plan: PrunePlan, paths: Paths, signal: AbortSignal): Promise<void> {
  await prune(plan, modelFolders(paths), signal);
}

function modelFolders(paths: Paths): ModelFolders {
  return { hubCache: paths.hub, urlFolder: urlModelFolder(paths) };
}

function cannotPrune({ code, message, exit, at }: LlmctlError): LlmctlError {
  const fix = "put that profile right, or remove it: what it uses is not known";
  return new LlmctlError(code, message, { exit, ...(at === undefined ? {} : { at }), fix });
}

/** Paths, as they are in snapshots, of every shard that a profile uses. */
async function listUsedPaths(profiles: readonly Profile[], paths: Paths): Promise<ReadonlySet<string>> {
  const used = new Set<string>();
  const cached = await scanCache(paths.hub);
  for (const { ref, profile } of listRemoteRefs(profiles)) {
    const options = findOptions(profile, paths);
    if ("url" in ref) {
      for (const { path } of listUrlFiles(ref, options)) used.add(path);
      continue;
    }
    const search = await searchModel(ref, options);
    const shards = "files" in search ? search.files.shards : listMeant(ref, cached);
    for (const { path } of shards) used.add(path);
  }
  return used;
}

/** Every set of files that the reference to an incomplete model can mean: a pull will resume with one of them. */
function listMeant(ref: Exclude<RemoteModelRef, { url: string }>, cached: readonly CachedModel[]) {
  const meant = ref.file === undefined ? ref : { ...ref, file: firstShard(ref.file) };
  const sets = cached.filter(({ of, name }) => of?.hf === ref.hf && matchFiles([name], meant).kind !== "none");
  return sets.flatMap(({ shards }) => shards);
}
