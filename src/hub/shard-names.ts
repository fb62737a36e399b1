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
  const match = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/is.exec(name);
  if (match?.[1] === undefined) return undefined;
  const index = Number(match[2]);
  const count = Number(match[3]);
  return index >= 1 && index <= count ? { prefix: match[1], index, count } : undefined;
}

/** The names of the whole set that this file belongs to, first shard first; the file alone when it is not a shard. */
export function listShardNames(name: string): string[] {
  const shard = parseShardName(name);
  if (shard === undefined) return [name];
  const extension = name.slice(-".gguf".length);
  const digits = (value: number) => String(value).padStart(5, "0");
  return Array.from({ length: shard.count }, (_, i) => `${shard.prefix}-${digits(i + 1)}-of-${digits(shard.count)}${extension}`);
}
