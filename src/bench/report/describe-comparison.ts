import { formatTable } from "../../base/text/table.ts";
import type { ReportComparison } from "./compare-reports.ts";
import { formatEstimate, formatInterval, formatRatio } from "../number-words.ts";
import { wrapText } from "./wrap-text.ts";

/** A comparison on a terminal. @param width In columns; Infinity where the output is no terminal. */
export function describeComparison(comparison: ReportComparison, width: number): string {
  const { profile, compared, differences } = comparison;
  const rows = compared.map(({ what, estimate, result }) => [
    what,
    formatRatio(estimate.ratio),
    formatInterval(estimate),
    String(estimate.prompts),
    result,
  ]);
  return [
    wrapText(`${profile}: ${headline(comparison)}`, width),
    "\n",
    formatTable(["WHAT", "CHANGE", "95 % INTERVAL", "PROMPTS", "RESULT"], rows, width),
    differences.length === 0 ? "" : "\n",
    ...differences.map((difference) => wrapText(difference, width, "note: ")),
  ].join("");
}

function headline({ compared, isRegression, isFaster, differences }: ReportComparison): string {
  const wanted = isRegression ? "regression" : isFaster ? "faster" : undefined;
  if (wanted === undefined) return "no difference can be shown";
  const named = compared
    .filter(({ result }) => result === wanted)
    .map(({ what, estimate }) => `${what} ${formatEstimate(estimate)}`);
  const doubt = differences.length === 0 ? "" : "; more than one thing may be the cause, see the notes";
  return `${wanted}: ${named.join(", ")}${doubt}`;
}
