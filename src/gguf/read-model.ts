import type { ByteSource } from "./byte-source.ts";
import { GgufError } from "./gguf-error.ts";
import { limits } from "./limits.ts";
import { type GgufHeader } from "./gguf-header.ts";
import { readHeader, readHeaderFrom } from "./read-header.ts";
import { checkFirst, checkShardCount, checkShards, findShards } from "./split-set.ts";

/** A model's headers: one for each file. */
export interface GgufModel {
  /** Header of the only file, or of the first shard, which has all metadata. */
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
  const paths = await findShards(path, header);
  // One after the other: each takes a millisecond, and a set of fifty would otherwise hold fifty windows in memory.
  return readOthers(header, paths.length, (index, mostBytes) => readHeader(paths[index] ?? "", mostBytes));
}

/**
 * {@link readModel} for files that are not on this disk.
 * @param count Number of files by the model's name.
 * @param open Opens one file, the first shard as 0. Called for one after the other.
 */
export async function readModelFrom(count: number, open: (index: number) => Promise<ByteSource>): Promise<GgufModel> {
  const header = await readHeaderFrom(await open(0));
  checkFirst(header, count);
  checkShardCount(header.name, count);
  return readOthers(header, count, async (index, mostBytes) => readHeaderFrom(await open(index), mostBytes));
}

async function readOthers(
  header: GgufHeader,
  count: number,
  read: (index: number, mostBytes: number) => Promise<GgufHeader>,
): Promise<GgufModel> {
  const shards = [header];
  let left = limits.setBytes - header.dataOffset;
  let keys = header.metadata.size;
  let tensors = header.tensors.length;
  for (let index = 1; index < count; index += 1) {
    const shard = await read(index, left);
    shards.push(withSplitKeysOnly(shard));
    left -= shard.dataOffset;
    keys += shard.metadata.size;
    tensors += shard.tensors.length;
    if (tensors > limits.tensors) throw tooMany(header, limits.tensors, "tensors");
    if (keys > limits.setKeys) throw tooMany(header, limits.setKeys, "metadata keys");
  }
  checkShards(shards);
  return { header, shards };
}

function tooMany({ name }: GgufHeader, most: number, what: string): GgufError {
  return new GgufError("limit-exceeded", `the shards of ${name} hold more than ${most} ${what}`);
}

/**
 * Other metadata is only needed from the first shard. Arrays are views, and would keep the window of each shard in
 * memory.
 */
function withSplitKeysOnly(header: GgufHeader): GgufHeader {
  return {
    ...header,
    metadata: new Map([...header.metadata].filter(([key, { type }]) => key.startsWith("split.") && type !== "array")),
  };
}
