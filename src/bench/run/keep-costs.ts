import { isDeepStrictEqual } from "node:util";
import { systemErrorCode } from "../../base/errors.ts";
import { type KeptCosts, keptCostsVersion, readKeptCosts, writeKeptCosts } from "../../llama/draft/kept-costs.ts";
import type { BatchCosts } from "../bench-report.ts";
import type { Round, Timing } from "../measurement.ts";
import type { BenchSetting } from "../servers/plan-setting.ts";
import { findStepCosts } from "../statistics/step-costs.ts";

export interface MeasuredCosts extends Pick<KeptCosts, "source" | "reevaluates"> {
  /** The setting without drafting. */
  readonly plain: BenchSetting;
  /** Whose draft `batches` has; undefined where no drafting setting was measured. */
  readonly drafting: BenchSetting | undefined;
  readonly rounds: readonly Round[];
  readonly timing: Timing;
  readonly concurrency: number;
  readonly batches: BatchCosts | null;
  /** Where it was measured; undefined where the build cannot tell its devices. */
  readonly machine: readonly string[] | undefined;
}

/**
 * Keeps what a measurement tells about the speed without a draft, for the guard of a running server. Only times by the
 * clock of single requests count: that is what the guard sees.
 * @returns why nothing is kept, for people; undefined where it is, and where nothing of this kind was measured.
 */
export async function keepCosts(measured: MeasuredCosts, dataDir: string): Promise<string | undefined> {
  const { plain, drafting, rounds, timing, concurrency, source, reevaluates, machine } = measured;
  const { costKeys } = plain;
  if (costKeys === undefined || machine === undefined || timing !== "wall" || concurrency !== 1 || rounds.length === 0)
    return undefined;
  const stepMs = findStepCosts(rounds, plain.label);
  if (stepMs.length === 0) return "too few quiet rounds to keep the speed without a draft for the guard of a server";
  const now = { ...pickBatches(measured.batches, drafting?.costKeys?.draft ?? null), reevaluates };
  try {
    const before = await readKeptCosts(dataDir, costKeys.target);
    const older = isDeepStrictEqual(before?.machine, machine) ? before : undefined;
    await writeKeptCosts(dataDir, {
      version: keptCostsVersion,
      key: costKeys.target,
      machine,
      measuredAt: new Date().toISOString(),
      build: plain.launch.build,
      source,
      stepMs,
      ...(older !== undefined && tellsMore(older, now) ? pickKept(older) : now),
    });
    return undefined;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    return `the speed without a draft could not be kept for the guard of a server: ${code}`;
  }
}

type KeptBatches = Pick<KeptCosts, "targetMs" | "draftMs" | "draftKey" | "reevaluates">;

/** Costs of a target beside a draft whose own are not known predict nothing. */
function pickBatches(batches: BatchCosts | null, draftKey: string | null): Omit<KeptBatches, "reevaluates"> {
  if (batches === null) return { targetMs: null, draftMs: null, draftKey: null };
  const { target: targetMs, draft: draftMs } = batches;
  return { targetMs, draftMs, draftKey: draftMs === null ? null : draftKey };
}

/** Not every measurement measures batches, or a draft. */
function tellsMore(older: KeptBatches, now: KeptBatches): boolean {
  return now.draftMs === null && (older.draftMs !== null || now.targetMs === null);
}

function pickKept({ targetMs, draftMs, draftKey, reevaluates }: KeptBatches): KeptBatches {
  return { targetMs, draftMs, draftKey, reevaluates };
}
