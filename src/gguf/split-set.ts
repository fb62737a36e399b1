import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { listSome } from "../base/text/list-some.ts";
import { GgufError } from "./gguf-error.ts";
import { findInteger } from "./metadata.ts";
import type { GgufHeader } from "./parse-header.ts";

/** `NAME-00001-of-00003.gguf`, as gguf-split writes it and llama.cpp looks for it. */
const shardName = /^(?<prefix>.+)-(?<number>\d{5})-of-(?<count>\d{5})\.gguf$/;

/**
 * Five digits number 99,999. Stops a set whose files are each looked for, opened or asked a server for, because one
 * name claims them. The largest sets that are published have some hundreds.
 */
export const mostShards = 4096;

interface ShardPath {
  readonly prefix: string;
  /** From 1 on. */
  readonly number: number;
  readonly count: number;
}

/** Takes a shard's file name apart; undefined for a file that is not one of a set. */
export function parseShardPath(path: string): ShardPath | undefined {
  const groups = shardName.exec(basename(path))?.groups;
  if (groups?.["prefix"] === undefined) return undefined;
  return { prefix: groups["prefix"], number: Number(groups["number"]), count: Number(groups["count"]) };
}

function formatShardName(prefix: string, number: number, count: number): string {
  const digits = (value: number) => String(value).padStart(5, "0");
  return `${prefix}-${digits(number)}-of-${digits(count)}.gguf`;
}

/**
 * All files of a model, found beside its first one as llama.cpp finds them.
 * @param first Header of the file that the user named.
 * @returns Paths, first shard first; the file alone when it is not split.
 * @throws GgufError `split-set` when the file is not the first shard, or when shards are missing or extra.
 */
export async function findShards(path: string, first: GgufHeader): Promise<string[]> {
  const count = findInteger(first, "split.count") ?? 1;
  const number = (findInteger(first, "split.no") ?? 0) + 1;
  if (count <= 1 && number === 1) return [path];
  const name = parseShardPath(path);
  if (number !== 1) throw notFirst(path, number, count, name);
  if (name === undefined || name.count !== count) throw misnamed(path, count);
  checkShardCount(path, count);
  const shards = Array.from({ length: count }, (_, index) => formatShardName(name.prefix, index + 1, count));
  await checkFolder(path, name, shards);
  return shards.map((shard) => join(dirname(path), shard));
}

/** @throws GgufError `split-set` for more shards than {@link mostShards}. */
export function checkShardCount(name: string, count: number): void {
  if (count > mostShards)
    throw new GgufError("split-set", `${name} claims to be one of ${count} shards, more than ${mostShards}`);
}

/**
 * Holds a first header's own account of its place against the number of files that its name tells.
 * @throws GgufError `split-set`
 */
export function checkFirst(first: GgufHeader, fileCount: number): void {
  const count = Math.max(findInteger(first, "split.count") ?? 1, 1);
  const number = (findInteger(first, "split.no") ?? 0) + 1;
  if (number !== 1) throw notFirst(first.name, number, count, undefined);
  if (count === fileCount) return;
  const files = fileCount === 1 ? "that it is the only one" : `that it is one of ${fileCount}`;
  throw new GgufError("split-set", `${first.name} is the first of ${count} shards, but its name says ${files}`);
}

/** Holds the other shards' own account of their place against the set. @throws GgufError `split-set` */
export function checkShards(headers: readonly GgufHeader[]): void {
  const [first, ...others] = headers;
  if (first === undefined || others.length === 0) return;
  for (const [index, header] of others.entries()) {
    const number = findInteger(header, "split.no");
    if (number === index + 1) continue;
    const says = number === undefined ? "does not say which shard it is" : `says that it is shard ${number + 1}`;
    throw new GgufError("split-set", `${header.name} ${says}, not shard ${index + 2} of ${headers.length}`, {
      fix: "download the set again",
    });
  }
  const wanted = findInteger(first, "split.tensors.count");
  const found = headers.reduce((sum, header) => sum + header.tensors.length, 0);
  if (wanted === undefined || wanted === found) return;
  throw new GgufError("split-set", `the shards of ${first.name} hold ${found} tensors, the set should have ${wanted}`, {
    fix: "download the set again",
  });
}

async function checkFolder(path: string, name: ShardPath, shards: readonly string[]): Promise<void> {
  const present = (await readdir(dirname(path))).filter((file) => {
    const shard = parseShardPath(file);
    return shard?.prefix === name.prefix && shard.count === name.count;
  });
  const there = new Set(present);
  const missing = shards.filter((shard) => !there.has(shard));
  if (missing.length > 0) {
    throw new GgufError(
      "split-set",
      `${path} lacks ${missing.length} of its ${shards.length} shards: ${listSome(missing, 5)}`,
      {
        fix: "download the missing shards into the same folder",
      },
    );
  }
  const wanted = new Set(shards);
  const extra = present.filter((file) => !wanted.has(file));
  if (extra.length === 0) return;
  throw new GgufError("split-set", `${path} is a set of ${shards.length}, but beside it lies ${listSome(extra, 5)}`, {
    fix: "remove the extra shards, or download the set again",
  });
}

function notFirst(path: string, number: number, count: number, name: ShardPath | undefined): GgufError {
  const first = name === undefined ? undefined : join(dirname(path), formatShardName(name.prefix, 1, name.count));
  return new GgufError("split-set", `${path} is shard ${number} of ${count}, a model is named by its first shard`, {
    fix: first === undefined ? "name the first shard" : `name ${first}`,
  });
}

function misnamed(path: string, count: number): GgufError {
  return new GgufError(
    "split-set",
    `${path} is the first of ${count} shards but its name does not say so, so the others cannot be found`,
    {
      fix: `name it ${formatShardName("NAME", 1, count)}, and the others likewise`,
    },
  );
}
