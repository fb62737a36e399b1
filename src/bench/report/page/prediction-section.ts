import type { BenchReport } from "../../bench-report.ts";
import type { Estimate } from "../../estimate.ts";
import { linePlot } from "../chart/line-plot.ts";
import { ratioScale, wholeScale } from "../chart/scale.ts";
import { formatEstimate, formatRatio, formatRatioTick } from "../../number-words.ts";
import { type Content, markup, type Markup } from "./markup.ts";
import { closed, numberCell, section } from "./page-frame.ts";
import { valuesOf } from "./speedup-section.ts";

interface Predicted {
  readonly nMax: number;
  readonly ratio: number;
}

/** A setting that was measured: where it stands on the axis, and what came out. */
export interface MeasuredPoint {
  readonly nMax: number;
  readonly estimate: Estimate;
}

/** What costs and acceptance predict for each longest draft, and what was measured. */
export function predictionSection({ predicted, settings, verdict }: BenchReport): Content {
  if (predicted === null || predicted.length === 0) return undefined;
  const nMax = settings[1].draft?.["n_max"];
  const measured =
    typeof nMax === "number" && verdict.estimate !== undefined ? [{ nMax, estimate: verdict.estimate }] : [];
  return section("prediction", "Predicted speedup", [
    markup`<p>What the measured costs and this acceptance give for each longest draft (<code>n_max</code>): the
line with rings. ${measured.length > 0 ? "The dot with its interval is what was measured." : ""}</p>
`,
    predictionPlot(predicted, measured),
    closed("The numbers", predictionTable(predicted, measured)),
  ]);
}

/** @param shared Ratios of other plots beside this one, which then have the same axis. */
export function predictionPlot(
  predicted: readonly Predicted[],
  measured: readonly MeasuredPoint[],
  shared: readonly number[] = [],
): Markup {
  const sorted = predicted.toSorted((a, b) => a.nMax - b.nMax);
  const best = predicted.toSorted((a, b) => b.ratio - a.ratio)[0];
  const ratios = [...predicted.map(({ ratio }) => ratio), ...measured.flatMap(({ estimate }) => valuesOf(estimate))];
  const lengths = [...predicted, ...measured].map(({ nMax }) => nMax);
  const said = measured.map(({ nMax, estimate }) => `Measured at n_max ${nMax}: ${formatEstimate(estimate)}.`);
  const peak = best === undefined ? "" : `Best predicted: ${formatRatio(best.ratio)} at n_max ${best.nMax}.`;
  return linePlot({
    summary: ["Predicted speedup by longest draft.", peak, ...said].join(" "),
    x: { name: "n_max, tokens", scale: wholeScale(lengths), format: String },
    y: { name: "speedup", scale: ratioScale([...ratios, ...shared]), format: formatRatioTick },
    reference: 1,
    curves: [{ kind: "first", points: sorted.map(({ nMax, ratio }) => ({ x: nMax, y: ratio })) }],
    measured: measured.map(({ nMax, estimate }) => ({ x: nMax, estimate })),
  });
}

function predictionTable(predicted: readonly Predicted[], measured: readonly MeasuredPoint[]): Markup {
  const rows = predicted.map(({ nMax, ratio }) => {
    const found = measured.find((one) => one.nMax === nMax);
    return markup`<tr><th scope="row" class="number">${nMax}</th>${numberCell("predicted", formatRatio(ratio))}
${numberCell("measured", found === undefined ? "" : formatEstimate(found.estimate))}</tr>
`;
  });
  return markup`<table class="data">
<thead><tr><th class="number" scope="col">n_max</th><th class="number" scope="col">predicted</th>
<th class="number" scope="col">measured</th></tr></thead><tbody>
${rows}</tbody></table>
`;
}
