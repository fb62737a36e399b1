import { stat } from "node:fs/promises";
import { answerPath, keepAnswer, readAnswer } from "../../base/files/answer-cache.ts";
import { systemErrorCode } from "../../base/errors.ts";
import type { Launch } from "../../supervisor/launch.ts";
import type { Device } from "./devices.ts";
import { askFitParams, type FitAnswer, type FitQuestion } from "./fit-params.ts";

interface CachedFitQuestion extends FitQuestion {
  readonly cacheDir: string;
  /** The devices of this machine. */
  readonly devices: readonly Device[];
  /** All files that the arguments name. */
  readonly files: Launch["files"];
}

type Needs = Extract<FitAnswer, { kind: "needs" }>;

/** Raised when the shape of a cached answer changes. */
const format = 1;

/**
 * As {@link askFitParams}, with a cache for the same program, arguments, devices and files. Two answers depend on the
 * memory that is free now and are not cached: the split over several devices, and whether a model fits.
 * @throws as {@link askFitParams}.
 */
export async function askFitCached(question: CachedFitQuestion): Promise<FitAnswer> {
  const path = answerPath(question.cacheDir, "memory", await describeQuestion(question));
  const kept = await readAnswer(path, isNeeds);
  if (kept !== undefined) return kept;
  const answer = await askFitParams(question);
  if (answer.kind === "needs" && countDevices(answer) <= 1) await keepAnswer(path, answer);
  return answer;
}

async function describeQuestion({ program, args, env, devices, files }: CachedFitQuestion): Promise<unknown> {
  const paths = [program, ...files.map(({ path }) => path)];
  return [
    format,
    await Promise.all(paths.map(describeFile)),
    args,
    env,
    devices.map(({ name, description, totalMib }) => [name, description, totalMib]),
  ];
}

/** A file that is gone makes the question fail, and no failure is cached. */
async function describeFile(path: string): Promise<unknown> {
  try {
    const { size, mtimeMs } = await stat(path);
    return [path, size, mtimeMs];
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return [path];
  }
}

function countDevices({ parts }: Needs): number {
  return parts.filter(({ device }) => device !== "Host").length;
}

function isNeeds(value: unknown): value is Needs {
  const { kind, parts } = (value ?? {}) as Partial<Needs>;
  return kind === "needs" && Array.isArray(parts) && parts.every(isPart);
}

function isPart(value: unknown): boolean {
  const { device, ...sizes } = (value ?? {}) as Partial<Needs["parts"][number]>;
  return (
    typeof device === "string" &&
    [sizes.modelMib, sizes.contextMib, sizes.computeMib].every((size) => Number.isSafeInteger(size))
  );
}
