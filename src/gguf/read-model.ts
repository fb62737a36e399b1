import type { ByteSource } from "./byte-source.ts";
import type { GgufHeader } from "./parse-header.ts";
import { readHeader, readHeaderFrom } from "./read-header.ts";
import { checkFirst, checkShards, findShards } from "./split-set.ts";

/** A model's headers: one for each file. */
export interface GgufModel {
  /** The file itself or the first shard; all metadata stands here. */
  readonly header: GgufHeader;
  /** All files, first shard first. Never empty. */
  readonly shards: readonly GgufHeader[];
}

/**
 * Reads the headers of a model and of all its shards.
 * @param path One file, or the first shard of a set.
 * @throws GgufError for any file that cannot be used, `split-set` when the set is not complete.
 */
export async function readModel(path: string): Promise<GgufModel> {
  const header = await readHeader(path);
  const shards = [header];
  // One after the other: each is read in a millisecond, and a set of fifty would otherwise hold fifty windows at once.
  for (const shard of (await findShards(path, header)).slice(1)) shards.push(await readHeader(shard));
  checkShards(shards);
  return { header, shards };
}

/**
 * {@link readModel} for files that are not on this disk.
 * @param count How many files the model has by its name.
 * @param open Opens one of them, the first shard as 0. Called for one after the other.
 */
export async function readModelFrom(count: number, open: (index: number) => Promise<ByteSource>): Promise<GgufModel> {
  const header = await readHeaderFrom(await open(0));
  checkFirst(header, count);
  const shards = [header];
  for (let index = 1; index < count; index += 1) shards.push(await readHeaderFrom(await open(index)));
  checkShards(shards);
  return { header, shards };
}
