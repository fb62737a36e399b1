import type { PredictedSetting, TuneCandidate, TuneFinalist, TuneReport } from "../../tune-report.ts";
import { formatEstimate, formatRatioTick } from "../number-words.ts";
import { acceptanceTable } from "./acceptance-section.ts";
import { costsTable } from "./costs-section.ts";
import { type Content, markup, type Markup } from "./markup.ts";
import { closed, section } from "./page-frame.ts";
import { predictionPlot } from "./prediction-section.ts";
import { valuesOf } from "./speedup-section.ts";

/** What was computed for each candidate, with what was measured of it. */
export function gridSection({ candidates, predicted, finalists }: TuneReport): Content {
  const parts = candidates.flatMap((candidate) => {
    const own = predicted.filter((one) => one.candidate === candidate.label);
    return own.length === 0 ? [] : [{ candidate, own, measured: finalists.filter(isOf(candidate)) }];
  });
  if (parts.length === 0) return undefined;
  const drawn = [
    ...parts.flatMap(({ own }) => bestByLength(own).map(({ ratio }) => ratio)),
    ...finalists.flatMap(({ estimate }) => (estimate === null ? [] : valuesOf(estimate))),
  ];
  const distances = predicted.map(({ ratio }) => Math.abs(Math.log(ratio)));
  const scales = { drawn, strongest: distances.reduce((most, one) => Math.max(most, one), Math.log(1.05)) };
  return section("grid", "Predicted speedups", [
    markup`<p>Computed for every setting from the measured costs and a trace of what the draft proposed. The line has the
best setting for each longest draft, and a dot with its interval what was measured. In the table, blue cells are faster
than without drafting and vermilion ones slower; the framed cell is the best, and ● stands before what was measured.</p>
`,
    parts.map((part) => candidatePart(part, scales)),
  ]);
}

/** What all candidates share, so that a person can compare them. */
interface GridScales {
  /** Ratios on the axis of the plots. */
  readonly drawn: readonly number[];
  /** Largest distance from 1 of a ratio in a table, as a logarithm. */
  readonly strongest: number;
}

interface Part {
  readonly candidate: TuneCandidate;
  readonly own: readonly PredictedSetting[];
  readonly measured: readonly TuneFinalist[];
}

function isOf({ label }: TuneCandidate): (finalist: TuneFinalist) => boolean {
  return ({ candidate }) => candidate === label;
}

function candidatePart({ candidate, own, measured }: Part, { drawn, strongest }: GridScales): Markup {
  const points = measured.flatMap(({ setting: { label }, estimate }) => {
    const nMax = own.find((one) => one.label === label)?.nMax;
    return estimate === null || nMax === undefined ? [] : [{ nMax, estimate }];
  });
  const { label, acceptedByPosition, costs } = candidate;
  return markup`<h3>${label}</h3>
<div class="pair"><div>${predictionPlot(bestByLength(own), points, drawn)}</div>
${
  acceptedByPosition === null || acceptedByPosition.length === 0
    ? undefined
    : markup`<div><p class="aside">Acceptance by position in the trace</p>${acceptanceTable(acceptedByPosition)}</div>`
}</div>
${heatTable(own, measured, strongest)}${costs === null ? undefined : closed("What batches cost", costsTable(costs))}
`;
}

function bestByLength(settings: readonly PredictedSetting[]): PredictedSetting[] {
  const best = new Map<number, PredictedSetting>();
  for (const one of settings) {
    if (one.ratio > (best.get(one.nMax)?.ratio ?? 0)) best.set(one.nMax, one);
  }
  return [...best.values()];
}

/** One row for each lowest probability and shortest draft, one column for each longest draft. */
function heatTable(
  settings: readonly PredictedSetting[],
  measured: readonly TuneFinalist[],
  strongest: number,
): Markup {
  const lengths = [...new Set(settings.map(({ nMax }) => nMax))].toSorted((a, b) => a - b);
  const hasShortest = settings.some(({ nMin }) => nMin > 0);
  const rowOf = ({ pMin, nMin }: PredictedSetting) => (hasShortest ? `${pMin}, n_min ${nMin}` : String(pMin));
  const sorted = settings.toSorted((a, b) => a.pMin - b.pMin || a.nMin - b.nMin);
  const rows = [...new Set(sorted.map(rowOf))];
  const best = settings.toSorted((a, b) => b.ratio - a.ratio)[0];
  const cell = (row: string, nMax: number) => {
    const one = settings.find((setting) => setting.nMax === nMax && rowOf(setting) === row);
    const found = measured.find(({ setting }) => setting.label === one?.label);
    return one === undefined ? markup`<td></td>` : heatCell(one, { isBest: one === best, found, strongest });
  };
  return markup`<div class="scroll" tabindex="0" role="region" aria-label="Predicted speedups"><table class="heat">
<thead><tr><th scope="col">p_min \\ n_max</th>
${lengths.map((nMax) => markup`<th scope="col">${nMax}</th>`)}</tr></thead>
<tbody>
${rows.map(
  (row) => markup`<tr><th scope="row">${row}</th>${lengths.map((nMax) => cell(row, nMax))}</tr>
`,
)}</tbody></table></div>
`;
}

interface HeatContext {
  readonly isBest: boolean;
  readonly found: TuneFinalist | undefined;
  readonly strongest: number;
}

/** The strongest colour, in percent: dark text on it still has enough contrast. */
const mostHeat = 45;

function heatCell({ label, ratio }: PredictedSetting, { isBest, found, strongest }: HeatContext): Markup {
  const heat = Math.round((mostHeat * Math.min(strongest, Math.abs(Math.log(ratio)))) / strongest);
  const tone = ratio >= 1 ? "faster" : "slower";
  const estimate = found?.estimate ?? null;
  const below = estimate === null ? "" : markup`<span class="measured">● ${formatRatioTick(estimate.ratio)}</span>`;
  const title = estimate === null ? label : `${label}: measured ${formatEstimate(estimate)}`;
  return markup`<td class="${tone}${isBest ? " best" : ""}" style="--heat:${heat}%" title="${title}">${formatRatioTick(
    ratio,
  )}${below}</td>`;
}
