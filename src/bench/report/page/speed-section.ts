import type { BenchReport } from "../../bench-report.ts";
import { dumbbell, lane, laneAxis } from "../chart/lane.ts";
import { logScale, type Scale } from "../chart/scale.ts";
import { countOf, formatEstimate, formatRatio, formatSpeed } from "../../number-words.ts";
import { type PromptSpeeds, promptSpeeds } from "../prompt-speeds.ts";
import { type Content, markup, type Markup } from "./markup.ts";
import { closed, numberCell, section } from "./page-frame.ts";

/** Above this number of prompts the table is folded up: a page should not start with many screens of rows. */
const mostOpenPrompts = 100;

type Labels = readonly [string, string];

/** Each prompt's speed in both settings: a table with a drawing as one of its columns. */
export function speedSection(report: BenchReport): Markup {
  const labels = [report.settings[0].label, report.settings[1].label] as const;
  const prompts = promptSpeeds(report, labels);
  const table = speedTable(prompts, labels, report.byKind);
  const counted = report.timing === "cpu" ? "the processor time of the server" : "the clock of the server";
  const legend = markup`<p>Tokens a second while generating, by ${counted}. The axis is logarithmic: lines of the same
length are the same speedup.</p>
<p class="aside"><span class="legend"><span class="key ring"></span>${labels[0]}</span>
<span class="legend"><span class="key full"></span>${labels[1]}</span></p>
`;
  const isLong = prompts.length > mostOpenPrompts;
  return section("speeds", "Speed of each prompt", [
    legend,
    isLong ? closed(`All ${countOf(prompts.length, "prompt")}`, table) : table,
  ]);
}

function speedTable(prompts: readonly PromptSpeeds[], labels: Labels, byKind: BenchReport["byKind"]): Markup {
  const scale = logScale(prompts.flatMap(({ speeds }) => speeds ?? []));
  const kinds = [...new Set(prompts.map(({ kind }) => kind))];
  const groups = kinds.map((kind) => {
    const own = prompts.filter((prompt) => prompt.kind === kind);
    const estimate = Object.hasOwn(byKind, kind) ? byKind[kind] : undefined;
    const about = [countOf(own.length, "prompt"), ...(estimate === undefined ? [] : [formatEstimate(estimate)])];
    return markup`<tbody>
<tr class="group"><th colspan="5" scope="rowgroup">${kind}<span class="aside">${about.join(", ")}</span></th></tr>
${own.map((prompt) => promptRow(prompt, labels, scale))}</tbody>
`;
  });
  return markup`<table class="lanes">
<thead><tr><th class="name" scope="col">Prompt</th>
<th class="drawing" scope="col"><span class="unseen">Drawing</span>${laneAxis(scale, String)}</th>
<th class="number" scope="col">${labels[0]}</th><th class="number" scope="col">${labels[1]}</th>
<th class="number" scope="col">speedup</th></tr></thead>
${groups}</table>
`;
}

function promptRow(prompt: PromptSpeeds, labels: Labels, scale: Scale): Markup {
  const { excerpt, speeds } = prompt;
  const [first, second] = speeds ?? [];
  const name = markup`<th class="name" scope="row" title="${excerpt}">${excerpt}</th>`;
  if (first === undefined || second === undefined) {
    return markup`<tr>${name}<td class="drawing aside" colspan="4">${describeGap(prompt)}</td></tr>
`;
  }
  const tone = second >= first ? "up" : "down";
  return markup`<tr>${name}<td class="drawing">${lane(scale, dumbbell(scale, [first, second]))}</td>
${numberCell(labels[0], formatSpeed(first))}${numberCell(labels[1], formatSpeed(second))}
${numberCell("speedup", markup`<span class="${tone}">${formatRatio(second / first)}</span>`)}</tr>
`;
}

function describeGap({ failed }: PromptSpeeds): Content {
  return failed === 0 ? "not measured on both" : `not measured on both: ${countOf(failed, "failed request")}`;
}
