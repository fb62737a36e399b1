import type { Estimate } from "../../estimate.ts";
import { type Content, markup, type Markup } from "../page/markup.ts";
import { along, toneOf } from "./lane.ts";
import type { Scale } from "./scale.ts";

interface Axis {
  readonly name: string;
  readonly scale: Scale;
  readonly format: (value: number) => string;
}

/** Values that a line joins. */
interface Curve {
  /** `first` or `second`: the kind of its line, for more than its colour to tell them apart. */
  readonly kind: "first" | "second";
  /** In ascending order of `x`. */
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface LinePlot {
  /** What a screen reader says in place of the drawing. */
  readonly summary: string;
  readonly x: Axis;
  readonly y: Axis;
  /** A value of the y axis with a line across, such as no speedup. */
  readonly reference: number;
  readonly curves: readonly Curve[];
  readonly measured: readonly { readonly x: number; readonly estimate: Estimate }[];
}

/** A drawing of lines that fits every width: places are percentages, sizes and text are pixels. */
export function linePlot(plot: LinePlot): Markup {
  const place = (x: number, y: number): readonly [string, string] => [
    along(plot.x.scale.place(x)),
    along(1 - plot.y.scale.place(y)),
  ];
  return markup`<div class="plot"><p class="axis-name">${plot.y.name}</p>
<svg role="img" aria-label="${plot.summary}">${[
    grid(plot),
    plot.curves.map((curve) => drawCurve(curve, place)),
    plot.measured.map((one) => drawMeasured(one, place)),
  ]}</svg>
<p class="axis-name end">${plot.x.name}</p></div>`;
}

type Place = (x: number, y: number) => readonly [string, string];

function grid({ x, y, reference }: LinePlot): Content {
  const rows = y.scale.ticks.map((tick) => {
    const at = along(1 - y.scale.place(tick));
    return markup`<line class="grid" x1="0" x2="100%" y1="${at}" y2="${at}"/>
<text x="-8" y="${at}" dy="4" text-anchor="end">${y.format(tick)}</text>`;
  });
  const columns = x.scale.ticks.map((tick) => {
    const at = along(x.scale.place(tick));
    return markup`<text x="${at}" y="100%" dy="18" text-anchor="middle">${x.format(tick)}</text>`;
  });
  const zero = along(1 - y.scale.place(reference));
  return [rows, columns, markup`<line class="reference" x1="0" x2="100%" y1="${zero}" y2="${zero}"/>`];
}

function drawCurve({ kind, points }: Curve, place: Place): Markup {
  const places = points.map(({ x, y }) => place(x, y));
  const lines = places.slice(1).map(([x2, y2], index) => {
    const [x1, y1] = places[index] ?? [x2, y2];
    return markup`<line class="curve" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>`;
  });
  const dots = places.map(([x, y]) => markup`<circle class="point" cx="${x}" cy="${y}" r="3"/>`);
  return markup`<g class="curve-${kind}">${lines}${dots}</g>`;
}

function drawMeasured({ x, estimate }: LinePlot["measured"][number], place: Place): Markup {
  const [at, middle] = place(x, estimate.ratio);
  const [, low] = place(x, estimate.low);
  const [, high] = place(x, estimate.high);
  return markup`<g class="${toneOf(estimate)}"><line class="bar" x1="${at}" x2="${at}" y1="${low}" y2="${high}"/>
<circle class="full" cx="${at}" cy="${middle}" r="6"/></g>`;
}
