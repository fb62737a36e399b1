import type { BenchReport } from "../../bench-report.ts";
import { lane, laneAxis, shareBar } from "../chart/lane.ts";
import { linearScale } from "../chart/scale.ts";
import { formatShare } from "../../number-words.ts";
import { type Content, markup, type Markup } from "./markup.ts";
import { numberCell, section } from "./page-frame.ts";

/** Share of the drafts that were accepted at least up to each position. */
export function acceptanceSection({ acceptedByPosition }: Pick<BenchReport, "acceptedByPosition">): Content {
  if (acceptedByPosition === null || acceptedByPosition.length === 0) return undefined;
  return section("acceptance", "Acceptance by position", [
    markup`<p>Share of the drafts whose tokens were accepted up to this position, and what that is of the drafts
accepted up to the position before.</p>
`,
    acceptanceTable(acceptedByPosition),
  ]);
}

export function acceptanceTable(shares: readonly number[]): Markup {
  const scale = { ...linearScale(0, 1), ticks: [0, 0.5, 1] };
  return markup`<table class="lanes positions">
<thead><tr><th class="number position" scope="col">position</th>
<th class="drawing" scope="col"><span class="unseen">Drawing</span>${laneAxis(scale, formatShare)}</th>
<th class="number" scope="col">accepted</th><th class="number" scope="col">of those before</th></tr></thead>
<tbody>
${shares.map((share, index) => {
  const before = index === 0 ? 1 : (shares[index - 1] ?? 0);
  return markup`<tr><th class="number position" scope="row" data-label="position">${index + 1}</th>
<td class="drawing">${lane(scale, shareBar(share))}</td>${numberCell("accepted", formatShare(share))}
${numberCell("of those before", before > 0 ? formatShare(share / before) : "–")}</tr>
`;
})}</tbody></table>
`;
}
