import type { GridSetting, TuneCandidate, TuneFinalist, TuneReport } from "../../tune-report.ts";
import { formatEstimate, formatRatioTick } from "../../number-words.ts";
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
    markup`<p>Computed for every setting from the measured costs and a trace of what the draft proposed. The line has
the best setting for each longest draft, and a dot with its interval what was measured. In the tables, blue cells are
faster than without drafting and vermilion ones slower; the framed cell is the best, and ● stands before what was
measured.</p>
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
  readonly own: readonly GridSetting[];
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
${heatTables(own, measured, strongest)}${costs === null ? undefined : closed("What batches cost", costsTable(costs))}
`;
}

function bestByLength(settings: readonly GridSetting[]): GridSetting[] {
  const best = new Map<number, GridSetting>();
  for (const one of settings) {
    if (one.ratio > (best.get(one.nMax)?.ratio ?? 0)) best.set(one.nMax, one);
  }
  return [...best.values()];
}

/**
 * A table for each shortest draft: a row for each lowest probability, a column for each longest draft. The one with the
 * best setting is open.
 */
function heatTables(settings: readonly GridSetting[], measured: readonly TuneFinalist[], strongest: number): Content {
  const best = settings.toSorted((a, b) => b.ratio - a.ratio)[0];
  const shortest = valuesOfKey(settings, ({ nMin }) => nMin);
  return shortest.map((nMin) => {
    const own = settings.filter((setting) => setting.nMin === nMin);
    const name = `n_min ${nMin}`;
    const table = heatTable(own, shortest.length > 1 ? name : "", (setting) => {
      const found = measured.find(({ setting: { label } }) => label === setting.label);
      return heatCell(setting, { isBest: setting === best, found, strongest });
    });
    return nMin === best?.nMin ? table : closed(`The grid with ${name}`, table);
  });
}

/** A whole grid has twenty rows. */
const mostRoomyRows = 10;

function heatTable(settings: readonly GridSetting[], name: string, cell: (setting: GridSetting) => Markup): Markup {
  const lengths = valuesOfKey(settings, ({ nMax }) => nMax);
  const rows = valuesOfKey(settings, ({ pMin }) => pMin).map((pMin) => {
    const cells = lengths.map((nMax) => {
      const setting = settings.find((one) => one.pMin === pMin && one.nMax === nMax);
      return setting === undefined ? markup`<td></td>` : cell(setting);
    });
    return { pMin, cells };
  });
  const heads = lengths.map((nMax) => markup`<th scope="col">${nMax}</th>`);
  return markup`<div class="scroll" tabindex="0" role="region" aria-label="Predicted speedups">
<table class="${rows.length > mostRoomyRows ? "heat dense" : "heat"}">
${name === "" ? undefined : markup`<caption>${name}</caption>`}
<thead><tr><th scope="col">p_min \\ n_max</th>${heads}</tr></thead>
<tbody>
${rows.map(
  ({ pMin, cells }) => markup`<tr><th scope="row">${pMin}</th>${cells}</tr>
`,
)}</tbody></table></div>
`;
}

/** In ascending order, each once. */
function valuesOfKey(settings: readonly GridSetting[], key: (setting: GridSetting) => number): number[] {
  return [...new Set(settings.map(key))].toSorted((a, b) => a - b);
}

interface HeatContext {
  readonly isBest: boolean;
  readonly found: TuneFinalist | undefined;
  readonly strongest: number;
}

/** The strongest colour, in percent: dark text on it still has enough contrast. */
const mostHeat = 45;

function heatCell({ label, ratio }: GridSetting, { isBest, found, strongest }: HeatContext): Markup {
  const heat = Math.round((mostHeat * Math.min(strongest, Math.abs(Math.log(ratio)))) / strongest);
  const tone = ratio >= 1 ? "faster" : "slower";
  const estimate = found?.estimate ?? null;
  const below = estimate === null ? "" : markup`<span class="measured">● ${formatRatioTick(estimate.ratio)}</span>`;
  const title = estimate === null ? label : `${label}: measured ${formatEstimate(estimate)}`;
  return markup`<td class="${tone}${isBest ? " best" : ""}" style="--heat:${heat}%" title="${title}">${formatRatioTick(
    ratio,
  )}${below}</td>`;
}
