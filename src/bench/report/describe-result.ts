import { formatTable } from "../../base/text/table.ts";
import { formatDuration } from "../../base/text/units.ts";
import type { BenchReport } from "../bench-report.ts";
import {
  countOf,
  formatChange,
  formatChangeInterval,
  formatInterval,
  formatMemory,
  formatRatio,
  formatShare,
  formatSpeed,
} from "../number-words.ts";
import { busyNote, limitNotes } from "./result-words.ts";
import { geometricMean, measurementsOf, promptSpeeds } from "./prompt-speeds.ts";
import type { ReportFiles } from "./report-file.ts";
import { wrapText } from "./wrap-text.ts";

export interface DescribeOptions {
  /** Of the terminal, in columns; Infinity where the output is no terminal. */
  readonly width: number;
  /** Where the report was written; undefined where it was not. */
  readonly files?: ReportFiles | undefined;
}

/** A report on a terminal: the sentence, then what it rests on. */
export function describeResult(report: BenchReport, { width, files }: DescribeOptions): string {
  const { profile, sentence, firstToken, draftBytes, seconds, prompts, rounds } = report;
  const costs = [
    acceptance(report),
    firstToken === null
      ? undefined
      : `time to first token ${formatChange(firstToken.ratio)} (${formatChangeInterval(firstToken)})`,
    draftBytes === null ? undefined : `the draft takes ${formatMemory(draftBytes)}`,
    `${countOf(prompts.length, "prompt")}, ${countOf(rounds.length, "round")} in ${formatDuration(seconds * 1000)}`,
  ];
  return [
    wrapText(`${profile}: ${sentence}`, width),
    "\n",
    kindTable(report, width),
    "\n",
    ...costs.map((line) => (line === undefined ? "" : wrapText(line, width))),
    describeLimits(report, width),
    describeFiles(files, width),
  ].join("");
}

/** The speeds over the prompts of each kind, and over all of them. */
function kindTable(report: BenchReport, width: number): string {
  const labels = [report.settings[0].label, report.settings[1].label] as const;
  const all = promptSpeeds(report, labels);
  const row = (name: string, speeds: typeof all, estimate: BenchReport["byKind"][string] | undefined) => {
    const pairs = speeds.flatMap((one) => (one.speeds === null ? [] : [one.speeds]));
    const means = [geometricMean(pairs.map(([first]) => first)), geometricMean(pairs.map(([, second]) => second))];
    return [
      name,
      String(pairs.length),
      ...means.map((mean) => (mean === null ? "-" : formatSpeed(mean))),
      estimate === undefined ? "-" : formatRatio(estimate.ratio),
      estimate === undefined ? "" : formatInterval(estimate),
    ];
  };
  const kinds = [...new Set(all.map(({ kind }) => kind))];
  const rows = kinds.map((kind) => {
    const estimate = Object.hasOwn(report.byKind, kind) ? report.byKind[kind] : undefined;
    return row(
      kind,
      all.filter((one) => one.kind === kind),
      estimate,
    );
  });
  const header = ["KIND", "PROMPTS", `${labels[0]} t/s`, `${labels[1]} t/s`, "SPEEDUP", "95 % INTERVAL"];
  return formatTable(header, [...rows, row("all", all, report.verdict.estimate)], width);
}

function acceptance({ rounds, settings, acceptedByPosition }: BenchReport): string | undefined {
  const measured = measurementsOf(rounds, settings[1].label);
  const drafted = measured.reduce((sum, { draftTokens }) => sum + draftTokens, 0);
  if (drafted === 0) return undefined;
  const accepted = measured.reduce((sum, { acceptedTokens }) => sum + acceptedTokens, 0);
  const positions = acceptedByPosition ?? [];
  const list = positions.length === 0 ? "" : `; by position ${positions.map(formatShare).join(", ")}`;
  return `accepted ${formatShare(accepted / drafted)} of the drafted tokens${list}`;
}

/** What limits a result, a note each. */
export function describeLimits(
  report: Parameters<typeof busyNote>[0] & Parameters<typeof limitNotes>[0],
  width: number,
): string {
  const busy = busyNote(report);
  const all = [...(busy === undefined ? [] : [`The machine was busy. ${busy}`]), ...limitNotes(report)];
  return all.map((note) => wrapText(note, width, "note: ")).join("");
}

export function describeFiles(files: ReportFiles | undefined, width: number): string {
  return files === undefined
    ? ""
    : `\n${wrapText(files.html, width, "report: ")}${wrapText(files.json, width, "data:   ")}`;
}
