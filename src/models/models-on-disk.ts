import type { LlmctlError } from "../base/errors.ts";
import type { Paths } from "../base/files/paths.ts";
import { printableName } from "../base/text/printable.ts";
import { describeUrl } from "../hub/find/describe-ref.ts";
import { findOptions, searchModel, urlModelFolder, urlSource } from "../hub/find/find-model.ts";
import type { ModelFiles } from "../hub/find/model-files.ts";
import { modelLockFolder, readModelLock } from "../hub/find/model-lock.ts";
import { findQuant } from "../hub/find/select-files.ts";
import { scanCache, scanUrlFolder, type CachedModel } from "../hub/keep/scan-cache.ts";
import { findVerified } from "../hub/keep/verified-files.ts";
import type { LoadOptions } from "../profiles/load.ts";
import { listModelRefs } from "../profiles/model-refs.ts";
import type { Profile, RemoteModelRef } from "../profiles/schema/schema.ts";
import { readAllProfiles } from "./all-profiles.ts";

/** A model on this machine: in the Hugging Face cache, from a plain address, or where a profile finds it. */
export interface ModelOnDisk {
  /** Undefined for a model from an address. */
  readonly hf: string | undefined;
  /** Undefined for a model of the Hub, and for one from an address that no profile names any more. */
  readonly url: string | undefined;
  /** The name of the first file, as it is in its folder. */
  readonly name: string;
  readonly quant: string | undefined;
  readonly commit: string | undefined;
  readonly shards: ModelFiles["shards"];
  /** How many shards of the set are missing. */
  readonly missing: number;
  /** Names of the profiles that use it. */
  readonly profiles: readonly string[];
  /** The profiles' reference to it; undefined when no profile uses it. */
  readonly ref: RemoteModelRef | undefined;
  /** Where it is, for people. */
  readonly source: string;
  /** When its content was last verified, of the shard that was verified first; undefined when one never was. */
  readonly verifiedAt: string | undefined;
}

/** What `llmctl models` lists. */
export interface ModelList {
  readonly models: readonly ModelOnDisk[];
  /** Why profiles cannot be read; which models they use is not known. */
  readonly problems: readonly LlmctlError[];
}

export async function listModels(paths: Paths, load: LoadOptions): Promise<ModelList> {
  const { profiles, problems } = await readAllProfiles(paths, load);
  return { models: await listModelsOnDisk(profiles, paths), problems };
}

/** Every model on this machine that was fetched, models of profiles first. */
export async function listModelsOnDisk(profiles: readonly Profile[], paths: Paths): Promise<readonly ModelOnDisk[]> {
  const used = await listUsed(profiles, paths);
  const usedPaths = new Set(used.flatMap(({ shards }) => shards.map(({ path }) => path)));
  const cached = [...(await scanCache(paths.hub)), ...(await scanUrlFolder(urlModelFolder(paths)))];
  const unused = cached.filter(({ shards }) => !shards.some(({ path }) => usedPaths.has(path))).map(toUnused);
  const lockFolder = modelLockFolder(paths.state);
  return Promise.all(
    [...used, ...unused].map(async (model) => ({
      ...model,
      verifiedAt: await findVerifiedAt(model.shards, lockFolder),
    })),
  );
}

/** References to models that can be fetched, with the profile that has them. */
export function listRemoteRefs(
  profiles: readonly Profile[],
): { readonly ref: RemoteModelRef; readonly profile: Profile }[] {
  return profiles.flatMap((profile) =>
    listModelRefs(profile.values).flatMap(({ ref }) => (typeof ref === "string" ? [] : [{ ref, profile }])),
  );
}

/** `"OWNER/REPO" (QUANT)`, an address, or a file's name; printable, for people. */
export function labelOnDisk({ hf, url, quant, name }: Pick<ModelOnDisk, "hf" | "url" | "quant" | "name">): string {
  if (hf === undefined) return `"${printableName(url === undefined ? name : describeUrl(url))}"`;
  return `"${printableName(hf)}" (${printableName(quant ?? name)})`;
}

export function sizeOnDisk({ shards }: Pick<ModelOnDisk, "shards">): number {
  return shards.reduce((sum, shard) => sum + shard.sizeBytes, 0);
}

/** The models that the profiles refer to and that are complete on disk, once each. */
async function listUsed(profiles: readonly Profile[], paths: Paths): Promise<Omit<ModelOnDisk, "verifiedAt">[]> {
  const byPath = new Map<string, Omit<ModelOnDisk, "verifiedAt">>();
  for (const { ref, profile } of listRemoteRefs(profiles)) {
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

function toUnused({ of, ...model }: CachedModel): Omit<ModelOnDisk, "verifiedAt"> {
  const source = of === undefined ? urlSource : "Hugging Face cache";
  return { ...model, hf: of?.hf, url: undefined, commit: of?.commit, profiles: [], ref: undefined, source };
}

async function findVerifiedAt(shards: ModelOnDisk["shards"], lockFolder: string): Promise<string | undefined> {
  const times = await Promise.all(shards.map(async ({ path }) => (await findVerified(lockFolder, path))?.verifiedAt));
  const verified = times.filter((time) => time !== undefined);
  return verified.length === shards.length ? verified.toSorted()[0] : undefined;
}
