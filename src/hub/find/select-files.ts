import { posix } from "node:path";
import { findClosest } from "../../base/text/closest.ts";
import { LlmctlError } from "../../base/errors.ts";
import { listSome } from "../../base/text/list-some.ts";
import type { HubModelRef } from "../../profiles/schema/schema.ts";
import { describeRef } from "./describe-ref.ts";
import { firstShard, hasTooManyShards, listShardNames, parseShardName, tooManyShards } from "./shard-names.ts";

/** What a reference means among the files that there are. Names are relative to the repository, with `/`. */
export type Match =
  | { readonly kind: "one"; readonly names: readonly string[] }
  | { readonly kind: "none"; readonly known: readonly string[] }
  | { readonly kind: "several"; readonly firsts: readonly string[] }
  | { readonly kind: "not-first"; readonly first: string }
  | { readonly kind: "incomplete"; readonly absent: readonly string[] }
  | { readonly kind: "too-many-shards"; readonly first: string };

/** Weight formats as they end a file's name; `UD-` (Unsloth Dynamic) belongs to the format. */
const quantAtEnd = /(?:^|[-._])((?:UD-)?(?:I?Q\d+|TQ\d+|MXFP\d+|NVFP\d+|BF16|F16|F32)(?:_[A-Z0-9]+)*)$/i;

/**
 * Where a format is looked for: the longest known one has 12 characters. Tried at each of its dashes, the pattern takes
 * quadratic time on names such as `a_Q1_Q1_Q1…`.
 */
const longestEnd = 32;

/** Files beside the models that are no models: llama.cpp tells them by the same words. */
const besideModels = /mmproj|imatrix|mtp-|eagle3-|dflash-|dspark-/i;

/**
 * Finds the files that a reference means; with neither quant nor file, the only model that there is. Pure, and says
 * what there is when there is not exactly one answer.
 */
export function matchFiles(names: readonly string[], ref: HubModelRef): Match {
  const ggufs = names.filter((name) => /\.gguf$/i.test(name));
  return ref.file === undefined ? matchQuant(ggufs, ref.quant) : matchFile(ggufs, ref.file);
}

/**
 * The exact files of a reference, first shard first.
 * @param names The `.gguf` files of a repository among its others, relative to it, with `/`.
 * @throws LlmctlError `quant-not-found`, `file-not-found`, `model-ambiguous`, `not-first-shard`, `too-many-shards` or
 *   `shards-missing`, saying what there is.
 */
export function selectFiles(names: readonly string[], ref: HubModelRef, at?: string): string[] {
  const match = matchFiles(names, ref);
  if (match.kind === "one") return [...match.names];
  throw mismatchError(match, ref, at);
}

/** The error for a reference that does not name exactly one complete model. */
export function mismatchError(match: Exclude<Match, { kind: "one" }>, ref: HubModelRef, at?: string): LlmctlError {
  const place = at === undefined ? {} : { at };
  switch (match.kind) {
    case "none":
      return notFoundError(match.known, ref, place);
    case "several":
      return new LlmctlError(
        "model-ambiguous",
        `${describeRef(ref)} could mean ${match.firsts.length} models: ${listSome(match.firsts)}`,
        {
          exit: "config",
          ...place,
          fix:
            ref.quant === undefined && ref.file === undefined
              ? "name the quant of one of them"
              : "name one of them with `file`",
        },
      );
    case "not-first":
      return new LlmctlError("not-first-shard", `"${ref.file ?? ""}" is not the first shard of its set`, {
        exit: "config",
        ...place,
        fix: `name "${match.first}"`,
      });
    case "too-many-shards":
      return tooManyShards(match.first, at);
    case "incomplete":
      return new LlmctlError(
        "shards-missing",
        `${describeRef(ref)} is not complete: ${listSome(match.absent)} is missing`,
        {
          exit: "missingFile",
          ...place,
        },
      );
  }
}

function notFoundError(known: readonly string[], ref: HubModelRef, place: { at?: string }): LlmctlError {
  const wanted = ref.quant ?? ref.file ?? "";
  const kind = ref.quant === undefined ? "file" : "quant";
  const near = findClosest(wanted, [...known]);
  const message =
    known.length === 0
      ? `"${ref.hf}" has no GGUF model`
      : `"${ref.hf}" has no ${kind} "${wanted}"; it has ${listSome(known)}`;
  return new LlmctlError(`${kind}-not-found`, message, {
    exit: "config",
    ...place,
    ...(near === undefined ? {} : { fix: `did you mean "${near}"?` }),
  });
}

function matchQuant(names: readonly string[], quant: string | undefined): Match {
  const models = names.filter((name) => !besideModels.test(posix.basename(name)));
  const firsts = [...new Set(models.filter((name) => quant === undefined || hasQuant(name, quant)).map(firstShard))];
  if (firsts.length > 1) return { kind: "several", firsts: firsts.toSorted() };
  const first = firsts[0];
  if (first === undefined)
    return { kind: "none", known: [...new Set(models.map((name) => findQuant(name) ?? stemOf(name)))].toSorted() };
  return matchSet(names, first);
}

function matchFile(names: readonly string[], file: string): Match {
  const wanted = posix.normalize(file);
  const exact = names.filter((name) => name === wanted);
  const found = exact.length > 0 ? exact : names.filter((name) => posix.basename(name) === wanted);
  const name = found[0];
  if (found.length > 1) return { kind: "several", firsts: found.toSorted() };
  if (name === undefined) return { kind: "none", known: [...new Set(names.map(firstShard))].toSorted() };
  return firstShard(name) === name ? matchSet(names, name) : { kind: "not-first", first: firstShard(name) };
}

function matchSet(names: readonly string[], first: string): Match {
  if (hasTooManyShards(first)) return { kind: "too-many-shards", first };
  const set = listShardNames(first);
  const there = new Set(names);
  const absent = set.filter((name) => !there.has(name));
  return absent.length === 0 ? { kind: "one", names: set } : { kind: "incomplete", absent };
}

/**
 * Formats are compared whole: `Q2_K` is neither `UD-Q2_K` nor `Q2_K_L`. What is no format, such as `imat-Q4_K_M`, must
 * end the name.
 */
function hasQuant(name: string, quant: string): boolean {
  const wanted = quant.toLowerCase();
  if (quantAtEnd.exec(wanted.slice(-longestEnd))?.[1] === wanted) return findQuant(name)?.toLowerCase() === wanted;
  const stem = stemOf(name).toLowerCase();
  return stem === wanted || stem.endsWith(`-${wanted}`) || stem.endsWith(`.${wanted}`);
}

/**
 * The format in a file's name, or in its folder's where the file's name has none or less
 * (`UD-Q2_K_XL/model-Q2_K_XL.gguf`).
 */
export function findQuant(name: string): string | undefined {
  const inFile = quantAtEnd.exec(stemOf(name).slice(-longestEnd))?.[1];
  const inFolder = quantAtEnd.exec(posix.basename(posix.dirname(name)).slice(-longestEnd))?.[1];
  if (inFile === undefined) return inFolder;
  return inFolder?.toLowerCase() === `ud-${inFile.toLowerCase()}` ? inFolder : inFile;
}

/** The file's name without folder, shard numbers and `.gguf`. */
function stemOf(name: string): string {
  const shard = parseShardName(name);
  return posix.basename(shard === undefined ? name.replace(/\.gguf$/i, "") : shard.prefix);
}
