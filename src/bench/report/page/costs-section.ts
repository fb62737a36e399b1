import type { BatchCosts } from "../../bench-report.ts";
import { linePlot } from "../chart/line-plot.ts";
import { linearScale, wholeScale } from "../chart/scale.ts";
import { formatMs, formatRatio, formatRatioTick } from "../../number-words.ts";
import { type Content, markup, type Markup } from "./markup.ts";
import { closed, numberCell, section } from "./page-frame.ts";

/** What it costs to compute several tokens at once, which checking a draft does. */
export function costsSection({ costs }: { readonly costs: BatchCosts | null }): Content {
  if (costs === null || costs.target.length === 0) return undefined;
  return section("costs", "What checking a draft costs", [
    markup`<p>Time of a batch of several tokens, compared with one token of the target model: the target is the solid
line${costs.draft === null ? "" : ", the draft model the broken one"}. The flatter the line, the longer a draft may
be.</p>
`,
    costsPlot(costs),
    closed("The numbers", costsTable(costs)),
  ]);
}

/** Time of one token; a cost of 0 says nothing that could be compared. */
function oneToken([first = 1]: readonly number[]): number {
  return first > 0 ? first : 1;
}

function costsPlot({ target, draft }: BatchCosts): Markup {
  const one = oneToken(target);
  const points = (costs: readonly number[]) => costs.map((ms, index) => ({ x: index + 1, y: ms / one }));
  const [targets, drafts] = [points(target), points(draft ?? [])];
  const all = [...targets, ...drafts];
  const last = targets.at(-1) ?? { x: 1, y: 1 };
  return linePlot({
    summary: `A batch of ${last.x} tokens costs the target model ${formatRatio(last.y)} as much as one token.`,
    x: { name: "tokens in the batch", scale: wholeScale(all.map(({ x }) => x)), format: String },
    y: {
      name: "times one token of the target",
      scale: linearScale(0, Math.max(...all.map(({ y }) => y)) * 1.05),
      format: formatRatioTick,
    },
    reference: 1,
    curves: [
      { kind: "first", points: targets },
      { kind: "second", points: drafts },
    ],
    measured: [],
  });
}

export function costsTable({ target, draft }: BatchCosts): Markup {
  const one = oneToken(target);
  const count = Math.max(target.length, draft?.length ?? 0);
  const ms = (costs: readonly number[] | null, index: number) => {
    const cost = costs?.[index];
    return cost === undefined ? "" : formatMs(cost);
  };
  const rows = Array.from({ length: count }, (_, index) => {
    const cost = target[index];
    return markup`<tr><th class="number" scope="row">${index + 1}</th>${numberCell("target, ms", ms(target, index))}
${numberCell("of one token", cost === undefined ? "" : formatRatio(cost / one))}
${numberCell("draft, ms", ms(draft, index))}</tr>
`;
  });
  return markup`<table class="data">
<thead><tr><th class="number" scope="col">tokens</th><th class="number" scope="col">target, ms</th>
<th class="number" scope="col">of one token</th><th class="number" scope="col">draft, ms</th></tr></thead><tbody>
${rows}</tbody></table>
`;
}
