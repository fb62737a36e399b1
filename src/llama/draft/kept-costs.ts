import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../../base/files/atomic-write.ts";
import { readAnswer } from "../../base/files/answer-cache.ts";
import { systemErrorCode } from "../../base/errors.ts";
import {
  type Check,
  type Checks,
  isBoolean,
  isListOf,
  isMap,
  isNullOr,
  isNumber,
  isOneOf,
  isShape,
  isText,
} from "../../base/text/check-shape.ts";
import { findDraftingType } from "../../profiles/rules/drafting-types.ts";
import type { Launch, StepCosts } from "../../supervisor/launch.ts";
import type { RenderedFlag } from "../render/flag-rule.ts";

/** Raised when a key of {@link KeptCosts} changes its meaning. */
export const keptCostsVersion = 1;

/** What `bench` or `tune` has measured of a target model on one build with one set of settings. */
export interface KeptCosts extends StepCosts {
  readonly version: typeof keptCostsVersion;
  /** Of {@link findCostKey}. */
  readonly key: string;
  /** Of `describeComputing`: several machines may share a folder, and one may get other devices. */
  readonly machine: readonly string[];
  /** Whose costs `draftMs` has, of {@link findDraftKey}; null where it is null. */
  readonly draftKey: string | null;
  /** ISO 8601. */
  readonly measuredAt: string;
  /** For people: the build's version line. */
  readonly build: string;
  readonly source: "bench" | "tune";
}

/** All that the costs of a target model depend on. */
export interface CostQuestion {
  /** Absolute path of the program. */
  readonly file: string;
  /** The build's version line. */
  readonly build: string;
  readonly targetFiles: Launch["files"];
  readonly flags: readonly Pick<RenderedFlag, "key" | "args">[];
  /** The profile's variables, as `sealEnv` gives them. */
  readonly profileEnv: string;
}

/**
 * A text that is the same for two launches exactly when their target models cost the same: the same binary, files and
 * settings. The draft and the HTTP server do not count, so a launch with a draft finds what was measured without one.
 * @returns undefined where the binary cannot be looked at.
 */
export async function findCostKey(question: CostQuestion): Promise<string | undefined> {
  const { file, build, targetFiles, flags, profileEnv } = question;
  const binary = await describeBinary(file);
  if (binary === undefined) return undefined;
  const settings = flags.filter(({ key }) => !/^(?:draft|server)\./.test(key)).map(({ args }) => args);
  const files = targetFiles.map(({ path, sizeBytes }) => [path, sizeBytes]);
  return hash([keptCostsVersion, build, binary, files, settings, profileEnv]);
}

/** All that the costs of a draft depend on. */
export interface DraftCostQuestion {
  /** In the words of the profile's `draft.type`. */
  readonly types: readonly string[];
  readonly draftFiles: Launch["files"];
  readonly flags: CostQuestion["flags"];
}

/** Keys that say how much is drafted, which does not change what a token costs. */
const lengthKeys: ReadonlySet<string> = new Set(["draft.n_max", "draft.n_min", "draft.p_min", "draft.ngram_size"]);

/**
 * The same for what a draft costs beside its target model.
 * @returns null for n-grams, which cost nothing.
 */
export function findDraftKey({ types, draftFiles, flags }: DraftCostQuestion): string | null {
  if (types.every((type) => findDraftingType(type)?.source === "ngram")) return null;
  const settings = flags.filter(({ key }) => key.startsWith("draft.") && !lengthKeys.has(key)).map(({ args }) => args);
  return hash([keptCostsVersion, draftFiles.map(({ path, sizeBytes }) => [path, sizeBytes]), settings]);
}

/**
 * What a supervisor may compare a launch with.
 * @param draftKey Of the launch. What batches cost is left out where it was measured for another draft.
 */
export function pickStepCosts(costs: KeptCosts, draftKey: string | null): StepCosts {
  const { stepMs, targetMs, draftMs, reevaluates } = costs;
  if (draftKey === null) return { stepMs, targetMs, draftMs: null, reevaluates };
  return draftKey === costs.draftKey && draftMs !== null
    ? { stepMs, targetMs, draftMs, reevaluates }
    : { stepMs, targetMs: null, draftMs: null, reevaluates };
}

function hash(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 32);
}

async function describeBinary(path: string): Promise<unknown> {
  try {
    const { size, mtimeMs } = await stat(path);
    return [size, mtimeMs];
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}

/** No measurement has more lengths of a context or sizes of a batch. */
const mostEntries = 4096;

const isShortList =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.length <= mostEntries && isListOf(check)(value);

/** No step takes an hour. A time of 0 would make any draft look slow. */
const isTime: Check = (value) => typeof value === "number" && value > 0 && value < 3_600_000;

const checks: Checks<KeptCosts> = {
  version: isOneOf(keptCostsVersion),
  key: isText,
  machine: isListOf(isText),
  draftKey: isNullOr(isText),
  measuredAt: isText,
  build: isText,
  source: isOneOf("bench", "tune"),
  stepMs: (value) =>
    isShortList(isShape<StepCosts["stepMs"][number]>({ contextTokens: isNumber, ms: isTime }))(value) &&
    (value as readonly unknown[]).length > 0,
  targetMs: isNullOr(isShortList(isTime)),
  draftMs: isNullOr(isShortList((value) => value === 0 || isTime(value))),
  reevaluates: isBoolean,
};

const isKeptCosts = isShape<KeptCosts>(checks);

/** @returns undefined where nothing is kept, and for a file that llmctl did not write. */
export async function readKeptCosts(dataDir: string, key: string): Promise<KeptCosts | undefined> {
  const isOfKey = (value: unknown): value is KeptCosts => isMap(value) && isKeptCosts(value) && value.key === key;
  return readAnswer(costsPath(dataDir, key), isOfKey);
}

/** Keeps costs in place of older ones. @throws as `writeFileAtomic`. */
export async function writeKeptCosts(dataDir: string, costs: KeptCosts): Promise<void> {
  await writeFileAtomic(costsPath(dataDir, costs.key), `${JSON.stringify(costs, null, 2)}\n`);
}

function costsPath(dataDir: string, key: string): string {
  return join(dataDir, "bench", "costs", `${key}.json`);
}
