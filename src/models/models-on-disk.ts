import type { Paths } from "../base/files/paths.ts";
import { findOptions, searchModel, urlModelFolder, urlSource } from "../hub/find/find-model.ts";
import { modelLockFolder, readModelLock } from "../hub/find/model-lock.ts";
import { scanCache, scanUrlFolder, type CachedModel } from "../hub/keep/scan-cache.ts";
import { findQuant, matchFiles } from "../hub/find/select-files.ts";
import { firstShard } from "../hub/find/shard-names.ts";
import { listUrlFiles } from "../hub/find/url-files.ts";
import { findVerified } from "../hub/keep/verified-files.ts";
import { LlmctlError } from "../base/errors.ts";
import { listProfiles, profileFolders } from "../profiles/find.ts";
import { loadProfile } from "../profiles/load.ts";
import { listModelRefs } from "../profiles/model-refs.ts";
import type { Profile, RemoteModelRef } from "../profiles/schema/schema.ts";
import { listProfileStates } from "../supervisor/state/profile-states.ts";

/** A model on this machine: in the Hugging Face cache, from a plain address, or where a profile finds it. */
export interface KnownModel {
  /** Undefined for one from an address. */
  readonly hf: string | undefined;
  /** Undefined for one of the Hub, and for one that no profile names any more. */
  readonly url: string | undefined;
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
  readonly ref: RemoteModelRef | undefined;
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
  const listed = (await listProfiles(folders))
    .filter(({ shadowedBy }) => shadowedBy === undefined)
    .map(({ path }) => path);
  const running = (await listProfileStates(paths))
    .filter(({ presence }) => presence !== "gone")
    .map(({ status }) => status.profile);
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
  const cached = [...(await scanCache(paths.hub)), ...(await scanUrlFolder(urlModelFolder(paths)))];
  const unused = cached.filter(({ shards }) => !shards.some(({ path }) => usedPaths.has(path))).map(describeUnused);
  const lockFolder = modelLockFolder(paths.state);
  return Promise.all(
    [...used, ...unused].map(async (model) => ({ ...model, verifiedAt: await findOldest(model.shards, lockFolder) })),
  );
}

function describeUnused({ of, ...model }: CachedModel): Omit<KnownModel, "verifiedAt"> {
  const source = of === undefined ? urlSource : "Hugging Face cache";
  return { ...model, hf: of?.hf, url: undefined, commit: of?.commit, profiles: [], ref: undefined, source };
}

/**
 * Paths in snapshots of everything that profiles use. Of a model that is not complete here, every set that the
 * reference could mean counts: a pull goes on from it.
 */
export async function listUsedPaths(profiles: readonly Profile[], paths: Paths): Promise<ReadonlySet<string>> {
  const used = new Set<string>();
  const cached = await scanCache(paths.hub);
  for (const { ref, profile } of listRefs(profiles)) {
    const options = findOptions(profile, paths);
    if ("url" in ref) {
      for (const { path } of listUrlFiles(ref, options)) used.add(path);
      continue;
    }
    const search = await searchModel(ref, options);
    const meant = ref.file === undefined ? ref : { ...ref, file: firstShard(ref.file) };
    const couldMean = cached.filter(({ of, name }) => of?.hf === ref.hf && matchFiles([name], meant).kind !== "none");
    const shards = "files" in search ? search.files.shards : couldMean.flatMap((model) => model.shards);
    for (const { path } of shards) used.add(path);
  }
  return used;
}

function listRefs(profiles: readonly Profile[]): { readonly ref: RemoteModelRef; readonly profile: Profile }[] {
  return profiles.flatMap((profile) =>
    listModelRefs(profile.values).flatMap(({ ref }) => (typeof ref === "string" ? [] : [{ ref, profile }])),
  );
}

/** The models to be fetched that the profiles name and that are complete here, once each. */
async function listUsed(profiles: readonly Profile[], paths: Paths): Promise<Omit<KnownModel, "verifiedAt">[]> {
  const byPath = new Map<string, Omit<KnownModel, "verifiedAt">>();
  for (const { ref, profile } of listRefs(profiles)) {
    const search = await searchModel(ref, findOptions(profile, paths));
    const path = "files" in search ? search.files.shards[0]?.path : undefined;
    if (!("files" in search) || path === undefined) continue;
    const before = byPath.get(path);
    const lock = await readModelLock(modelLockFolder(paths.state), ref);
    byPath.set(path, {
      hf: "url" in ref ? undefined : ref.hf,
      url: "url" in ref ? ref.url : undefined,
      name: path.slice(path.lastIndexOf("/") + 1),
      quant: findQuant(path) ?? ("url" in ref ? undefined : ref.quant),
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
