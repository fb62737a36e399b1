import { LlmctlError } from "../../base/errors.ts";
import type { BenchReport } from "../bench-report.ts";
import type { Estimate } from "../estimate.ts";
import { reportDifferences } from "./report-differences.ts";
import { promptSpeeds } from "./prompt-speeds.ts";

/** What two reports say about one number. */
export interface ComparedNumber {
  /** `speed of "none"`, or `speedup`. */
  readonly what: string;
  /** The number in the second report over that in the first: below 1 it is a regression. */
  readonly estimate: Estimate;
  readonly result: "regression" | "faster" | "no difference can be shown";
}

/** The second report compared with the first, for scripts and people. */
export interface ReportComparison {
  readonly version: 1;
  readonly profile: string;
  readonly isRegression: boolean;
  /** Whether any number got better, and none worse. */
  readonly isFaster: boolean;
  readonly compared: readonly ComparedNumber[];
  /** What else differs: then a regression is not that of one thing. */
  readonly differences: readonly string[];
}

/**
 * An estimate from one ratio for each prompt.
 * @param logRatios Natural logarithms. Never empty.
 */
export type EstimateRatios = (logRatios: readonly number[]) => Estimate;

/**
 * Compares a later report with an earlier one, over the prompts that were measured in both.
 * @throws LlmctlError `reports-not-comparable` (2).
 */
export function compareReports(
  before: BenchReport,
  after: BenchReport,
  estimateRatios: EstimateRatios,
): ReportComparison {
  const reports = { before, after };
  const rows = [...ratiosOfSettings(reports), { what: "speedup", logRatios: speedupRatios(reports) }];
  const compared = rows
    .filter(({ logRatios }) => logRatios.length > 0)
    .map(({ what, logRatios }): ComparedNumber => {
      const estimate = estimateRatios(logRatios);
      return { what, estimate, result: resultOf(estimate) };
    });
  if (compared.length === 0) throw notComparable();
  const isRegression = compared.some(({ result }) => result === "regression");
  return {
    version: 1,
    profile: after.profile,
    isRegression,
    isFaster: !isRegression && compared.some(({ result }) => result === "faster"),
    compared,
    differences: reportDifferences(before, after),
  };
}

interface Reports {
  readonly before: BenchReport;
  readonly after: BenchReport;
}

interface Ratios {
  readonly what: string;
  readonly logRatios: readonly number[];
}

/** For each setting of the same label: by how much each prompt got faster. */
function ratiosOfSettings(reports: Reports): Ratios[] {
  const labels = reports.after.settings.map(({ label }) => label);
  const common = labels.filter((label) => reports.before.settings.some((setting) => setting.label === label));
  return common.map((label) => ({
    what: `speed of "${label}"`,
    logRatios: pairPrompts(reports, (report) => logSpeeds(report, [label, label], ([speed]) => Math.log(speed))),
  }));
}

/** By how much the speedup of each prompt got larger. */
function speedupRatios(reports: Reports): number[] {
  return pairPrompts(reports, (report) => {
    const [first, second] = report.settings;
    return logSpeeds(report, [first.label, second.label], ([slow, fast]) => Math.log(fast / slow));
  });
}

/** A number of each prompt that was measured. Where the reports count different times, both have the wall clock. */
function logSpeeds(
  report: BenchReport,
  labels: readonly [string, string],
  value: (speeds: readonly [number, number]) => number,
): Map<string, number> {
  const measured = promptSpeeds(report, labels);
  return new Map(measured.flatMap(({ id, speeds }) => (speeds === null ? [] : [[id, value(speeds)]])));
}

/** Differences of logarithms, for the prompts that both reports have. */
function pairPrompts({ before, after }: Reports, read: (report: BenchReport) => Map<string, number>): number[] {
  const timing = before.timing === after.timing ? before.timing : "wall";
  const [old, young] = [read({ ...before, timing }), read({ ...after, timing })];
  return [...young].flatMap(([id, value]) => {
    const earlier = old.get(id);
    return earlier === undefined ? [] : [value - earlier];
  });
}

function resultOf({ low, high }: Estimate): ComparedNumber["result"] {
  if (high < 1) return "regression";
  return low > 1 ? "faster" : "no difference can be shown";
}

function notComparable(): LlmctlError {
  return new LlmctlError("reports-not-comparable", "no prompt was measured in both reports", {
    exit: "usage",
    fix: "measure both times with the same prompts",
  });
}
