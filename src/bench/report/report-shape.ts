import {
  type Check,
  type Checks,
  isListOf,
  isMap,
  isMapOf,
  isNullOr,
  isNumber,
  isOneOf,
  isOptional,
  isShape,
  isText,
} from "../../base/text/check-shape.ts";
import type { BatchCosts, BenchReport, ReportedSetting } from "../bench-report.ts";
import type { Estimate } from "../estimate.ts";
import { isCount, isRound, isShare } from "../round-shape.ts";

const isRatio: Check = (value) => isNumber(value) && Number(value) > 0;

const isEstimate = isShape<Estimate>({ ratio: isRatio, low: isRatio, high: isRatio, prompts: isCount });

const isSetting = isShape<ReportedSetting>({
  label: isText,
  draft: isNullOr(isMap),
  command: isShape<ReportedSetting["command"]>({ file: isText, args: isListOf(isText) }),
  files: isListOf(
    isShape<ReportedSetting["files"][number]>({ path: isText, sizeBytes: isNumber, sha256: isNullOr(isText) }),
  ),
  loadMs: isNullOr(isNumber),
});

const isVerdict: Check = (value) => {
  if (!isMap(value)) return false;
  const { kind, estimate, moreMs, morePrompts } = value;
  if (kind !== "unknown") return isOneOf("pays", "loses", "equal")(kind) && isEstimate(estimate);
  // JSON has no undefined: the keys are missing.
  return [isOptional(isEstimate)(estimate), isOptional(isNumber)(moreMs), isOptional(isCount)(morePrompts)].every(
    Boolean,
  );
};

/** One check for each key of the current version. */
export const reportChecks: Checks<BenchReport> = {
  version: isNumber,
  llmctl: isText,
  profile: isText,
  startedAt: isText,
  seconds: isNumber,
  end: isOneOf("precise", "time-over", "interrupted", "server-died", "prompts-used-up", "loads-used-up"),
  machine: isShape<BenchReport["machine"]>({
    processor: isText,
    processors: isCount,
    memoryBytes: isNumber,
    devices: isListOf(isText),
    system: isText,
  }),
  build: isText,
  timing: isOneOf("wall", "cpu"),
  concurrency: isCount,
  settings: (value) => Array.isArray(value) && value.length === 2 && value.every(isSetting),
  prompts: isListOf(isShape<BenchReport["prompts"][number]>({ id: isText, kind: isText, excerpt: isText })),
  rounds: isListOf(isRound),
  verdict: isVerdict,
  byKind: isMapOf(isEstimate),
  firstToken: isNullOr(isEstimate),
  draftBytes: isNullOr(isNumber),
  acceptedByPosition: isNullOr(isListOf(isShare)),
  costs: isNullOr(isShape<BatchCosts>({ target: isListOf(isNumber), draft: isNullOr(isListOf(isNumber)) })),
  predicted: isNullOr(
    isListOf(isShape<NonNullable<BenchReport["predicted"]>[number]>({ nMax: isCount, ratio: isRatio })),
  ),
  waitShare: isNullOr(isShare),
  sentence: isText,
  notes: isListOf(isText),
};
