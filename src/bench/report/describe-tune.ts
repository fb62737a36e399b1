import { formatTable } from "../../base/text/table.ts";
import { formatDuration } from "../../base/text/units.ts";
import type { TuneReport } from "../tune-report.ts";
import { type DescribeOptions, describeFiles, describeLimits } from "./describe-result.ts";
import { countOf, formatChange, formatCount, formatInterval, formatRatio } from "../number-words.ts";
import { wrapText } from "./wrap-text.ts";
import { finalistResult } from "./result-words.ts";

/** A search on a terminal: the sentence, what was measured, what was thrown out and why. */
export function describeTune(report: TuneReport, { width, files }: DescribeOptions): string {
  const { profile, sentence, seconds, loads, predicted, finalists, candidates } = report;
  const thrownOut = candidates.flatMap(({ label, thrownOut: reason }) => (reason === null ? [] : [{ label, reason }]));
  const took = `${countOf(loads, "load")} of a server, ${formatDuration(seconds * 1000)}`;
  const computed = `${formatCount(predicted.length)} settings computed, ${formatCount(finalists.length)} measured`;
  return [
    wrapText(`${profile}: ${sentence}`, width),
    "\n",
    finalists.length === 0 ? "" : `${finalistTable(report, width)}\n`,
    ...thrownOut.map(({ label, reason }) => wrapText(`${label}: ${reason}`, width, "not tried: ")),
    wrapText(`${computed}; ${took}`, width),
    describeLimits(report, width),
    describeFiles(files, width),
  ].join("");
}

function finalistTable({ finalists, winner }: TuneReport, width: number): string {
  const rows = finalists.map((finalist) => {
    const { setting, predicted, estimate, firstToken } = finalist;
    return [
      setting.label,
      predicted === null ? "-" : formatRatio(predicted),
      estimate === null ? "-" : formatRatio(estimate.ratio),
      estimate === null ? "" : formatInterval(estimate),
      firstToken === null ? "-" : formatChange(firstToken.ratio),
      finalistResult(finalist, winner),
    ];
  });
  return formatTable(["SETTING", "PREDICTED", "MEASURED", "95 % INTERVAL", "FIRST TOKEN", "RESULT"], rows, width);
}
