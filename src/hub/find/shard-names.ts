import { LlmctlError } from "../../base/errors.ts";
import { mostShards } from "../../gguf/split-set.ts";

/** One file of a split set: `prefix-00002-of-00003.gguf` has index 2 and count 3. */
export interface ShardName {
  /** Everything before the numbers, folders included. */
  readonly prefix: string;
  /** From 1. */
  readonly index: number;
  readonly count: number;
}

/** Reads the numbers that gguf-split writes into a shard's name; undefined for any other name. */
export function parseShardName(name: string): ShardName | undefined {
  if (name.length > longestName) return undefined;
  const match = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/is.exec(name);
  if (match?.[1] === undefined) return undefined;
  const index = Number(match[2]);
  const count = Number(match[3]);
  return index >= 1 && index <= count ? { prefix: match[1], index, count } : undefined;
}

/**
 * The names of the whole set that this file belongs to, first shard first; the file alone when it is not a shard.
 * @throws LlmctlError `too-many-shards`: one name can claim 99,999 shards, and each would be searched or requested.
 */
export function listShardNames(name: string): string[] {
  const shard = parseShardName(name);
  if (shard === undefined) return [name];
  if (shard.count > mostShards) throw tooManyShards(name);
  return Array.from({ length: shard.count }, (_, i) => shardName(name, shard, i + 1));
}

/** The name of the first shard of the set that this file belongs to; the same name when it is not a shard. */
export function firstShard(name: string): string {
  const shard = parseShardName(name);
  return shard === undefined ? name : shardName(name, shard, 1);
}

function shardName(like: string, { prefix, count }: ShardName, index: number): string {
  const digits = (value: number) => String(value).padStart(5, "0");
  return `${prefix}-${digits(index)}-of-${digits(count)}${like.slice(-".gguf".length)}`;
}

/** Whether {@link listShardNames} would throw. */
export function hasTooManyShards(name: string): boolean {
  return (parseShardName(name)?.count ?? 1) > mostShards;
}

export function tooManyShards(name: string, at?: string): LlmctlError {
  const file = name.length > longestShown ? `…${name.slice(-longestShown)}` : name;
  return new LlmctlError(
    "too-many-shards",
    `"${file}" claims to be one of ${parseShardName(name)?.count} shards, more than ${mostShards}`,
    {
      exit: "missingFile",
      ...(at === undefined ? {} : { at }),
      fix: "use another file: no published model has so many shards",
    },
  );
}

/** The limit of a path. All names of a set together are longer by its number of shards. */
const longestName = 4096;

/** For a message. */
const longestShown = 255;
