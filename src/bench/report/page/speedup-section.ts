import type { BenchReport } from "../../bench-report.ts";
import type { Estimate } from "../../estimate.ts";
import { fewestPrompts } from "../../statistics/estimate-ratio.ts";
import { lane, laneAxis, reference, toneOf, whiskers } from "../chart/lane.ts";
import { ratioScale, type Scale } from "../chart/scale.ts";
import { formatCount, formatEstimate, formatRatioTick } from "../../number-words.ts";
import { markup, type Markup } from "./markup.ts";
import { numberCell, section } from "./page-frame.ts";

/** A line of a table of estimates. */
export interface EstimateRow {
  readonly name: string;
  readonly estimate: Estimate | null;
  /** Only in a table with this column, see {@link estimateTable}. */
  readonly predicted?: string;
}

/** The speedup over all prompts and over those of each kind. */
export function speedupSection({ verdict, byKind, settings }: BenchReport): Markup {
  const rows = [
    { name: "all prompts", estimate: verdict.estimate ?? null },
    ...Object.entries(byKind).map(([name, estimate]) => ({ name, estimate })),
  ];
  const [first, second] = settings;
  return section("speedup", "Speedup", [
    intervalWords(`Speed of “${second.label}” over that of “${first.label}”`, rows),
    estimateTable("Prompts", rows),
  ]);
}

/** What the numbers of a table of estimates are. */
export function intervalWords(what: string, rows: readonly EstimateRow[]): Markup {
  const isFew = rows.some(({ estimate }) => estimate !== null && estimate.prompts < fewestPrompts);
  return markup`<p>${what}: the geometric mean over the prompts, with its 95 % interval from a bootstrap over prompts.
An interval that crosses the dashed line at 1 shows no difference.${
    isFew ? ` With fewer than ${fewestPrompts} prompts it only tells about these, by how much their passes differ.` : ""
  }</p>
`;
}

/** A table with a dot and its interval in each row. @param isPredicted Adds a column for predictions. */
export function estimateTable(header: string, rows: readonly EstimateRow[], isPredicted = false): Markup {
  const scale = ratioScale(rows.flatMap(({ estimate }) => (estimate === null ? [] : valuesOf(estimate))));
  const head = markup`<th class="number" scope="col">predicted</th>`;
  return markup`<table class="lanes estimates">
<thead><tr><th class="name" scope="col">${header}</th>
<th class="drawing" scope="col"><span class="unseen">Drawing</span>${laneAxis(scale, formatRatioTick)}</th>
<th class="number wide" scope="col">speedup (95 % interval)</th><th class="number" scope="col">prompts</th>
${isPredicted ? head : ""}</tr></thead>
<tbody>
${rows.map((row) => estimateRow(row, scale))}</tbody></table>
`;
}

function estimateRow({ name, estimate, predicted }: EstimateRow, scale: Scale): Markup {
  const cell = predicted === undefined ? undefined : numberCell("predicted", predicted);
  const head = markup`<th class="name" scope="row" title="${name}">${name}</th>`;
  if (estimate === null) {
    return markup`<tr>${head}<td class="drawing aside" colspan="3">not measured on both</td>${cell}</tr>
`;
  }
  const marks = [reference(scale, 1), whiskers(scale, estimate)];
  return markup`<tr>${head}<td class="drawing">${lane(scale, marks)}</td>
<td class="number wide"><span class="${toneOf(estimate)}">${formatEstimate(estimate)}</span></td>
${numberCell("prompts", formatCount(estimate.prompts))}${cell}</tr>
`;
}

export function valuesOf({ ratio, low, high }: Estimate): number[] {
  return [ratio, low, high];
}
