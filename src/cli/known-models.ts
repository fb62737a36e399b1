import type { Paths } from "../base/paths.ts";
import { findOptions, searchHubModel } from "../hub/find-model.ts";
import { modelLockFolder, readModelLock } from "../hub/model-lock.ts";
import { scanCache } from "../hub/scan-cache.ts";
import { findQuant, matchFiles } from "../hub/select-files.ts";
import { listShardNames } from "../hub/shard-names.ts";
import { findVerified } from "../hub/verified-files.ts";
import { LlmctlError } from "../base/errors.ts";
import { listProfiles, profileFolders } from "../profiles/find.ts";
import { loadProfile } from "../profiles/load.ts";
import type { HubModelRef, Profile } from "../profiles/schema.ts";
import { listProfileStates } from "./profile-states.ts";

/** A model on this machine: in the Hugging Face cache, or where a profile finds it. */
export interface KnownModel {
  readonly hf: string;
  /** The first file's name, as it is where it lies. */
  readonly name: string;
  readonly quant: string | undefined;
  readonly commit: string | undefined;
  readonly shards: readonly { readonly path: string; readonly sizeBytes: number }[];
  /** Shards of the set that are not here. */
  readonly missing: number;
  /** Of the profiles that use it. */
  readonly profiles: readonly string[];
  /** The profiles' words for it; undefined when none uses it. */
  readonly ref: HubModelRef | undefined;
  /** For people. */
  readonly source: string;
  /** When all of it was last seen to be right. */
  readonly verifiedAt: string | undefined;
}

/** The profiles there are, and why others cannot be read. */
export interface ReadProfiles {
  readonly profiles: readonly Profile[];
  readonly problems: readonly LlmctlError[];
}

/** Every profile that `llmctl profile list` shows, and those that run or have run from elsewhere. */
export async function readAllProfiles(paths: Paths): Promise<ReadProfiles> {
  const folders = profileFolders({ paths, cwd: process.cwd() });
  const listed = (await listProfiles(folders)).filter(({ shadowedBy }) => shadowedBy === undefined).map(({ path }) => path);
  const running = (await listProfileStates(paths)).filter(({ presence }) => presence !== "gone").map(({ status }) => status.profile);
  const profiles: Profile[] = [];
  const problems: LlmctlError[] = [];
  for (const path of new Set([...listed, ...running])) {
    try {
      profiles.push(await loadProfile(path, { folders, env: process.env }));
    } catch (error) {
      if (!(error instanceof LlmctlError)) throw error;
      problems.push(error);
    }
  }
  return { profiles, problems };
}

/** Every model that is here, those of profiles first. */
export async function listKnownModels(profiles: readonly Profile[], paths: Paths): Promise<readonly KnownModel[]> {
  const used = await listUsed(profiles, paths);
  const usedPaths = new Set(used.flatMap(({ shards }) => shards.map(({ path }) => path)));
  const rest = (await scanCache(paths.hub)).filter(({ shards }) => !shards.some(({ path }) => usedPaths.has(path)));
  const unused = rest.map((model) => ({ ...model, profiles: [], ref: undefined, source: "Hugging Face cache" }));
  const lockFolder = modelLockFolder(paths.state);
  return Promise.all([...used, ...unused].map(async (model) => ({ ...model, verifiedAt: await findOldest(model.shards, lockFolder) })));
}

/**
 * Paths in snapshots of everything that profiles use. Of a model that is not complete here, every set that the reference could mean counts: a
 * pull goes on from it.
 */
export async function listUsedPaths(profiles: readonly Profile[], paths: Paths): Promise<ReadonlySet<string>> {
  const used = new Set<string>();
  const cached = await scanCache(paths.hub);
  for (const { ref, profile } of listRefs(profiles)) {
    const search = await searchHubModel(ref, findOptions(profile, paths));
    const couldMean = cached.filter(({ hf, name }) => hf === ref.hf && matchFiles(listShardNames(name), ref).kind !== "none");
    const shards = "files" in search ? search.files.shards : couldMean.flatMap((model) => model.shards);
    for (const { path } of shards) used.add(path);
  }
  return used;
}

function listRefs(profiles: readonly Profile[]): { readonly ref: HubModelRef; readonly profile: Profile }[] {
  return profiles.flatMap((profile) => {
    const { model, draft } = profile.values;
    return [model, draft?.model].flatMap((ref) => (ref === undefined || typeof ref === "string" ? [] : [{ ref, profile }]));
  });
}

/** The Hub's models that the profiles name and that are complete here, once each. */
async function listUsed(profiles: readonly Profile[], paths: Paths): Promise<Omit<KnownModel, "verifiedAt">[]> {
  const byPath = new Map<string, Omit<KnownModel, "verifiedAt">>();
  for (const { ref, profile } of listRefs(profiles)) {
    const search = await searchHubModel(ref, findOptions(profile, paths));
    const path = "files" in search ? search.files.shards[0]?.path : undefined;
    if (!("files" in search) || path === undefined) continue;
    const before = byPath.get(path);
    const lock = await readModelLock(modelLockFolder(paths.state), ref);
    byPath.set(path, {
      hf: ref.hf,
      name: path.slice(path.lastIndexOf("/") + 1),
      quant: findQuant(path) ?? ref.quant,
      commit: lock?.commit ?? /\/snapshots\/([0-9a-f]{40})\//.exec(path)?.[1],
      shards: search.files.shards,
      missing: 0,
      profiles: [...new Set([...(before?.profiles ?? []), profile.name])],
      ref,
      source: search.files.source,
    });
  }
  return [...byPath.values()];
}

async function findOldest(shards: KnownModel["shards"], lockFolder: string): Promise<string | undefined> {
  const times = await Promise.all(shards.map(async ({ path }) => (await findVerified(lockFolder, path))?.verifiedAt));
  const known = times.filter((time) => time !== undefined);
  return known.length === shards.length ? known.toSorted()[0] : undefined;
}
