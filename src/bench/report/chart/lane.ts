import type { Estimate } from "../../estimate.ts";
import { type Content, markup, type Markup } from "../page/markup.ts";
import type { Scale } from "./scale.ts";

/*
 * Marks in a row of a table. Places along the axis are percentages and sizes are pixels, so a drawing fits every width
 * without a script, and its text is never scaled.
 */

/** Faster, slower, or not shown to be either; each has its colour. */
export type Tone = "up" | "down" | "flat";

export function toneOf({ low, high }: Pick<Estimate, "low" | "high">): Tone {
  if (low > 1) return "up";
  return high < 1 ? "down" : "flat";
}

/** A place from 0 to 1 as a coordinate of SVG. */
export function along(place: number): string {
  return `${Number((place * 100).toFixed(2))}%`;
}

/** A row of a drawing. The numbers stand in the cells beside it, so it is hidden from a screen reader. */
export function lane(scale: Scale, marks: Content): Markup {
  const grid = scale.ticks.map((tick) => {
    const x = along(scale.place(tick));
    return markup`<line class="grid" x1="${x}" x2="${x}" y1="0" y2="100%"/>`;
  });
  return markup`<svg class="lane" aria-hidden="true" focusable="false">${grid}${marks}</svg>`;
}

/** The labels of the lanes' axis; those at its ends need some room beside the drawing. */
export function laneAxis(scale: Scale, format: (value: number) => string): Markup {
  const labels = scale.ticks.map((tick) => {
    return markup`<text x="${along(scale.place(tick))}" y="14" text-anchor="middle">${format(tick)}</text>`;
  });
  return markup`<svg class="lane-axis" aria-hidden="true" focusable="false">${labels}</svg>`;
}

/** A line across the lane that marks no difference. */
export function reference(scale: Scale, value: number): Markup {
  const x = along(scale.place(value));
  return markup`<line class="reference" x1="${x}" x2="${x}" y1="0" y2="100%"/>`;
}

/** An estimate and its interval. */
export function whiskers(scale: Scale, { ratio, low, high }: Estimate): Markup {
  const [x1, x2, x] = [low, high, ratio].map((value) => along(scale.place(value)));
  return markup`<g class="${toneOf({ low, high })}">
<line class="bar" x1="${x1}" x2="${x2}" y1="50%" y2="50%"/>
<line class="bar" x1="${x1}" x2="${x1}" y1="30%" y2="70%"/>
<line class="bar" x1="${x2}" x2="${x2}" y1="30%" y2="70%"/>
<circle class="full" cx="${x}" cy="50%" r="5"/></g>`;
}

/** Two values of one thing: a ring for the first, a dot for the second, and between them what changed. */
export function dumbbell(scale: Scale, [first, second]: readonly [number, number]): Markup {
  const [x1, x2] = [along(scale.place(first)), along(scale.place(second))];
  const tone: Tone = second >= first ? "up" : "down";
  return markup`<g class="${tone}"><line class="change" x1="${x1}" x2="${x2}" y1="50%" y2="50%"/>
<circle class="ring" cx="${x1}" cy="50%" r="4.5"/><circle class="full" cx="${x2}" cy="50%" r="5"/></g>`;
}

/** A share as a bar from the start of the lane. */
export function shareBar(share: number): Markup {
  return markup`<rect class="share" x="0" y="25%" width="${along(Math.min(1, Math.max(0, share)))}" height="50%"/>`;
}
