import { LlmctlError } from "../../base/errors.ts";
import type { BenchReport } from "../bench-report.ts";
import type { Estimate } from "../estimate.ts";
import { isMeasured, msPerToken, type Timing } from "../measurement.ts";
import { estimatePrompts, type PromptRatios } from "../statistics/estimate-ratio.ts";
import { busyNote } from "./result-words.ts";
import { reportDifferences } from "./report-differences.ts";

/** What two reports say about one number. */
interface ComparedNumber {
  /** `speed of "none"`, or `speedup`. */
  readonly what: string;
  /** The number in the second report over that in the first: below 1 it is a regression. */
  readonly estimate: Estimate;
  readonly result: "regression" | "faster" | "no difference can be shown" | "the machine was busy";
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
 * Compares a later report with an earlier one, over the prompts that were measured in both.
 * @throws LlmctlError `reports-not-comparable` (2).
 */
export function compareReports(
  before: BenchReport,
  after: BenchReport,
  estimate: typeof estimatePrompts = estimatePrompts,
): ReportComparison {
  const reports = { before, after };
  const ofOneTime = { what: "speedup", ratios: speedupRatios(reports), isCertain: true };
  const compared = [...settingRatios(reports), ofOneTime].flatMap(({ what, ratios, isCertain }): ComparedNumber[] => {
    const found = ratios.length === 0 ? undefined : estimate(ratios);
    if (found === undefined) return [];
    return [{ what, estimate: found, result: isCertain ? resultOf(found) : "the machine was busy" }];
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
  readonly ratios: readonly PromptRatios[];
  /** Whether a difference is one of what was measured, and not of what else ran on the machine. */
  readonly isCertain: boolean;
}

/** For each setting of the same label: by how much each prompt got faster. Other programs slow one report alone. */
function settingRatios(reports: Reports): Ratios[] {
  const { before, after } = reports;
  const isBusy = busyNote(before) !== undefined || busyNote(after) !== undefined;
  const isCertain = !isBusy || countedTime(reports) === "cpu";
  const labels = reports.after.settings.map(({ label }) => label);
  const common = labels.filter((label) => reports.before.settings.some((setting) => setting.label === label));
  return common.map((label) => ({
    what: `speed of "${label}"`,
    isCertain,
    ratios: pairPrompts(reports, (_, time) => {
      const ms = time(label);
      return ms === undefined ? undefined : -Math.log(ms);
    }),
  }));
}

/** By how much the speedup of each prompt got larger. */
function speedupRatios(reports: Reports): Ratios["ratios"] {
  return pairPrompts(reports, ({ settings }, time) => {
    const [slow, fast] = [time(settings[0].label), time(settings[1].label)];
    return slow === undefined || fast === undefined ? undefined : Math.log(slow / fast);
  });
}

/** The logarithm of a number of one round. @param time Milliseconds a token of a setting. */
type ReadRound = (report: BenchReport, time: (label: string) => number | undefined) => number | undefined;

/** By how much the number got larger, for the prompts that both reports have. */
function pairPrompts({ before, after }: Reports, read: ReadRound): number[][] {
  const timing = countedTime({ before, after });
  const [old, young] = [valuesByPrompt(before, timing, read), valuesByPrompt(after, timing, read)];
  return [...young].flatMap(([id, values]) => {
    const earlier = old.get(id);
    return earlier === undefined ? [] : [differences(earlier, values)];
  });
}

/** Every report has the wall clock. */
function countedTime({ before, after }: Reports): Timing {
  return before.timing === after.timing ? before.timing : "wall";
}

function valuesByPrompt(report: BenchReport, timing: Timing, read: ReadRound): Map<string, number[]> {
  const values = new Map<string, number[]>();
  for (const { promptId, results } of report.rounds) {
    const value = read(report, (label) => {
      const result = results[label];
      return isMeasured(result) ? msPerToken(result, timing) : undefined;
    });
    if (value !== undefined) values.set(promptId, [...(values.get(promptId) ?? []), value]);
  }
  return values;
}

/**
 * One difference for each pass that both have. Their mean is that of all passes, since a report with more passes knows
 * its own mean better.
 */
function differences(before: readonly number[], after: readonly number[]): number[] {
  const pairs = after.slice(0, before.length).map((value, pass) => value - (before[pass] ?? value));
  const shift = mean(after) - mean(before) - mean(pairs);
  return pairs.map((difference) => difference + shift);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function resultOf({ low, high }: Estimate): ComparedNumber["result"] {
  if (high < 1) return "regression";
  return low > 1 ? "faster" : "no difference can be shown";
}

function notComparable(): LlmctlError {
  return new LlmctlError("reports-not-comparable", "too few prompts were measured in both reports", {
    exit: "usage",
    fix: "measure both times with the same prompts",
  });
}
