/*
 * The look of a report. Blue for faster and vermilion for slower stay apart for every kind of colour blindness, and
 * shape or place says the same once more. Text has a contrast of at least 4.5 to its ground, marks of at least 3.
 */

const light = `
  --paper: #ffffff; --ink: #1a1f25; --soft: #56606b; --rule: #cfd6dd; --grid: #e6eaee; --tint: #f4f6f8;
  --up: #0a5fa5; --down: #b4470a; --flat: #66707b; --warn: #fff4dc; --warn-rule: #c98a00;
`;

const dark = `
  --paper: #12161b; --ink: #e3e7ec; --soft: #a3adb8; --rule: #3a434d; --grid: #252c34; --tint: #1a2027;
  --up: #66b3f2; --down: #f2975c; --flat: #9aa5b1; --warn: #2d2410; --warn-rule: #d9a326;
`;

const base = `
:root { color-scheme: light dark; ${light} }
@media (prefers-color-scheme: dark) { :root { ${dark} } }
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: clamp(1rem, 3vw, 3rem); max-width: 84rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: break-word;
}
h1, h2 { font-family: "Iowan Old Style", "Palatino Linotype", Palatino, Charter, Georgia, "Noto Serif", serif; }
h1 { font-size: clamp(1.5rem, 1.1rem + 2vw, 2.4rem); line-height: 1.22; font-weight: 600; margin: 0.25rem 0 1rem;
  max-width: 34em; text-wrap: balance; }
h2 { font-size: 1.4rem; font-weight: 600; line-height: 1.25; margin: 0 0 0.4rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 0.4rem; }
p { margin: 0 0 0.8rem; max-width: 46em; }
section { margin-top: 3rem; min-width: 0; }
.pair { display: grid; gap: 0 3.5rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); }
.eyebrow, .aside, figcaption, .axis-name { color: var(--soft); font-size: 0.875rem; }
.eyebrow { margin: 0; max-width: none; }
.up { color: var(--up); } .down { color: var(--down); } .flat { color: var(--flat); }
.warning { border-left: 4px solid var(--warn-rule); background: var(--warn); padding: 0.7rem 1rem; margin: 1rem 0;
  max-width: 60em; }
.notes { margin: 1rem 0; padding-left: 1.2rem; max-width: 60em; }
`;

const figures = `
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr));
  gap: 1.2rem 2rem; margin: 1.8rem 0; padding: 1.2rem 0; border: solid var(--rule); border-width: 1px 0; }
.figures dt { color: var(--soft); font-size: 0.875rem; }
.figures dd { margin: 0; }
.figures .value { display: block; font-size: 1.5rem; line-height: 1.3; font-weight: 600; }
.figures .words { font-size: 1.2rem; }
.figures div:has(.words) { grid-column: span 2; }
.figures .aside { display: block; line-height: 1.4; }
`;

const tables = `
table { border-collapse: collapse; width: 100%; font-size: 0.9375rem; }
caption { text-align: left; color: var(--soft); font-size: 0.875rem; padding-bottom: 0.5rem; }
th, td { text-align: left; padding: 0.3rem 0.75rem 0.3rem 0; vertical-align: middle; font-weight: 400; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-size: 0.8125rem; vertical-align: bottom; border-bottom: 1px solid var(--rule); }
tbody tr + tr > * { border-top: 1px solid var(--grid); }
.number { text-align: right; white-space: nowrap; }
thead .number { white-space: normal; }
.path, code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.path { font-size: 0.8125rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
.plain { width: auto; min-width: min(100%, 46rem); }
.plain td, .plain th { vertical-align: top; padding-right: 2rem; }
.data { width: auto; }
.data th, .data td { padding-right: 2rem; }
.raw { font-size: 0.8125rem; white-space: nowrap; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
details { margin: 0.8rem 0; }
summary { cursor: pointer; color: var(--soft); }
summary:hover { color: var(--ink); }
pre { margin: 0.4rem 0; padding: 0.8rem 1rem; background: var(--tint); border-radius: 6px; font-size: 0.8125rem;
  line-height: 1.55; white-space: pre-wrap; overflow-wrap: anywhere; }
pre code { user-select: all; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1.2rem; margin: 0.4rem 0 1rem; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
`;

/** Tables of which one column is a drawing. On a narrow screen each row becomes two lines: its name, and the rest. */
const lanes = `
.lanes { table-layout: fixed; }
.lanes .name { width: 30%; }
.lanes th.number { width: 5.2rem; }
.lanes th.wide { width: 11.5rem; }
.lanes .drawing { padding: 0 1.25rem 0 0.5rem; }
.lanes tbody th { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; max-width: 0; }
.lanes .group th { padding-top: 1.1rem; font-weight: 600; overflow: visible; white-space: normal; max-width: none; }
.lanes .group .aside { font-weight: 400; margin-left: 0.6rem; }
.lanes th.position { width: 4.5rem; padding-right: 0.75rem; max-width: none; }
.lanes td.drawing.aside { padding-left: 0.5rem; }
.lanes thead th { position: sticky; top: 0; background: var(--paper); z-index: 1; }
svg { display: block; width: 100%; overflow: visible; }
.lane { height: 1.9rem; }
.lane-axis { height: 1.25rem; }
svg text { font-size: 0.75rem; fill: var(--soft); }
.grid { stroke: var(--grid); }
.reference { stroke: var(--soft); stroke-dasharray: 4 3; }
.bar { stroke: currentColor; stroke-width: 2; }
.change { stroke: currentColor; stroke-width: 3; stroke-opacity: 0.55; }
.full { fill: currentColor; stroke: var(--paper); stroke-width: 1.5; }
.ring { fill: var(--paper); stroke: var(--flat); stroke-width: 2; }
.share { fill: var(--up); }
.legend { white-space: nowrap; margin-right: 0.8em; }
.key { display: inline-block; width: 0.72em; height: 0.72em; border-radius: 50%; margin: 0 0.35em 0 0; }
.key.ring { border: 2px solid var(--flat); }
.key.full { background: linear-gradient(90deg, var(--up) 50%, var(--down) 50%); }
`;

const plots = `
.plot { padding: 0 1rem 0 3rem; margin: 0.8rem 0 0.4rem; max-width: 46rem; }
.plot svg { height: 16rem; }
.plot .axis-name { margin: 0 0 0.6rem -3rem; }
.plot .axis-name.end { margin: 1.7rem 0 0; text-align: right; }
.curve { stroke: currentColor; stroke-width: 2; }
.point { fill: var(--paper); stroke: currentColor; stroke-width: 2; }
.curve-first { color: var(--flat); }
.curve-second { color: var(--down); }
.curve-second .curve { stroke-dasharray: 6 4; }
`;

const grids = `
.heat { width: auto; }
.heat td, .heat th { text-align: center; padding: 0.35rem 0.5rem; white-space: nowrap; min-width: 3.1rem;
  border: 2px solid var(--paper); }
.heat.dense td, .heat.dense th { padding: 0.05rem 0.4rem; font-size: 0.75rem; min-width: 2.6rem; border-width: 1px; }
.heat.dense .measured { font-size: 0.6875rem; }
.heat caption { caption-side: top; }
.heat th { color: var(--soft); font-size: 0.8125rem; white-space: nowrap; }
.heat td.faster { background: color-mix(in srgb, var(--up) var(--heat), var(--paper)); }
.heat td.slower { background: color-mix(in srgb, var(--down) var(--heat), var(--paper)); }
.heat td.best { outline: 2px solid var(--ink); outline-offset: -2px; font-weight: 700; }
.heat .measured { display: block; font-size: 0.75rem; white-space: nowrap; }
`;

const narrow = `
@media screen and (max-width: 54rem) {
  section { margin-top: 2.2rem; }
  .lanes, .lanes tbody, .lanes thead { display: block; }
  .lanes tr { display: flex; flex-wrap: wrap; gap: 0 1.1rem; padding: 0.3rem 0; }
  .lanes tbody tr + tr { border-top: 1px solid var(--grid); }
  .lanes tr > * { border: 0 !important; padding: 0; width: auto !important; max-width: none; }
  .lanes tbody th { max-width: none; }
  .lanes .name, .lanes .drawing, .lanes .group th { flex: 0 0 100%; }
  .lanes .number { text-align: left; }
  .lanes .number::before { content: attr(data-label) " "; color: var(--soft); font-size: 0.8125rem; }
  .lanes thead th:not(.drawing) { display: none; }
  .lanes thead { position: sticky; top: 0; background: var(--paper); border-bottom: 1px solid var(--rule); z-index: 1; }
  .lanes tr > .drawing { padding: 0 0.25rem; }
  .facts { grid-template-columns: 1fr; gap: 0; }
  .facts dd { margin-bottom: 0.5rem; }
  .plot { padding-left: 2.4rem; }
  .plot .axis-name { margin-left: -2.4rem; }
  .plain thead { display: none; }
  .plain tr { display: block; padding: 0.5rem 0; }
  .plain tr > * { display: block; border: 0 !important; padding: 0; text-align: left; }
  .plain [data-label]:not(:empty)::before { content: attr(data-label) " "; color: var(--soft); font-size: 0.8125rem; }
}
`;

const print = `
@media print {
  :root { color-scheme: light; ${light} }
  html { font-size: 9.5pt; }
  body { padding: 0; max-width: none; }
  section { break-inside: auto; margin-top: 1.6rem; }
  h2, h3, thead { break-after: avoid; }
  .group { break-after: avoid; }
  tr, .plot, .figures, .pair > * { break-inside: avoid; }
  .lanes th.position { width: 4.5rem; padding-right: 0.75rem; max-width: none; }
.lanes td.drawing.aside { padding-left: 0.5rem; }
.lanes thead th { position: static; }
  * { print-color-adjust: exact; }
}
`;

export const pageStyle = [base, figures, tables, lanes, plots, grids, narrow, print].join("");
