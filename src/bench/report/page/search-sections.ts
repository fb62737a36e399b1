import { formatDuration } from "../../../base/text/units.ts";
import type { TuneFinalist, TuneReport } from "../../tune-report.ts";
import { toneOf } from "../chart/lane.ts";
import { describeDraft } from "../command-words.ts";
import {
  countOf,
  formatChange,
  formatChangeInterval,
  formatCount,
  formatInterval,
  formatMemory,
  formatRatio,
  formatShare,
} from "../../number-words.ts";
import { type Content, markup, type Markup } from "./markup.ts";
import { keyFigure, numberCell, section, textCell } from "./page-frame.ts";
import { estimateTable, intervalWords } from "./speedup-section.ts";
import { finalistResult } from "../result-words.ts";

/** The winner's numbers and what the search took. */
export function searchFigures(report: TuneReport): Markup {
  const { finalists, winner, predicted, loads, seconds, prompts, rounds } = report;
  const best = finalists.find(({ setting }) => setting.label === winner);
  return markup`<dl class="figures">
${[
  keyFigure(
    "fastest",
    markup`<span class="words">${winner ?? "not known"}</span>`,
    `before: ${describeBefore(report)}`,
  ),
  best === undefined ? undefined : winnerFigures(best),
  keyFigure("settings computed", formatCount(predicted.length), `${formatCount(finalists.length)} measured`),
  keyFigure("search", formatDuration(seconds * 1000), [
    `${countOf(loads, "load")} of a server`,
    markup`<br>${countOf(prompts.length, "prompt")}, ${countOf(rounds.length, "round")}`,
  ]),
]}</dl>
`;
}

function describeBefore({ draftBefore }: Pick<TuneReport, "draftBefore">): string {
  return draftBefore === null ? "no drafting" : describeDraft(draftBefore);
}

function winnerFigures({ estimate, firstToken, draftBytes }: TuneFinalist): Content {
  return [
    estimate === null
      ? undefined
      : keyFigure(
          "speedup",
          markup`<span class="${toneOf(estimate)}">${formatRatio(estimate.ratio)}</span>`,
          `${formatInterval(estimate)} with 95 % confidence`,
        ),
    firstToken === null
      ? undefined
      : keyFigure("time to first token", formatChange(firstToken.ratio), formatChangeInterval(firstToken)),
    draftBytes === null
      ? undefined
      : keyFigure("memory of the draft", formatMemory(draftBytes), "model, cache and buffers"),
  ];
}

/** The settings that ran beside no drafting. */
export function finalistsSection({ finalists, winner }: TuneReport): Content {
  if (finalists.length === 0) return undefined;
  const rows = finalists.map((finalist) => ({
    name: finalist.setting.label,
    estimate: finalist.estimate,
    predicted: finalist.predicted === null ? "–" : formatRatio(finalist.predicted),
  }));
  return section("finalists", "Measured against no drafting", [
    intervalWords("Speed over that without drafting", rows),
    estimateTable("Setting", rows, true),
    finalistTable(finalists, winner),
  ]);
}

/** What drafting takes and gets besides speed, and what became of each setting. */
function finalistTable(finalists: readonly TuneFinalist[], winner: TuneReport["winner"]): Markup {
  const rows = finalists.map((finalist) => {
    const { setting, firstToken, draftBytes, acceptedByPosition } = finalist;
    const shares = acceptedByPosition?.map(formatShare).join(", ");
    return markup`<tr><th scope="row">${setting.label}</th>
${numberCell("time to first token", firstToken === null ? "–" : formatChange(firstToken.ratio))}
${numberCell("memory of the draft", draftBytes === null ? "–" : formatMemory(draftBytes))}
${textCell("accepted by position", shares ?? "–")}${textCell("result", finalistResult(finalist, winner))}</tr>
`;
  });
  return markup`<h3>What became of them</h3>
<table class="plain">
<thead><tr><th scope="col">Setting</th><th class="number" scope="col">time to first token</th>
<th class="number" scope="col">memory of the draft</th><th scope="col">accepted by position</th>
<th scope="col">result</th></tr></thead><tbody>
${rows}</tbody></table>
`;
}

/** Everything that could have drafted, and what became of it. */
export function candidatesSection({ candidates }: TuneReport): Content {
  if (candidates.length === 0) return undefined;
  const rows = candidates.map(({ label, bestPossible, thrownOut }) => {
    const best = bestPossible === null ? "–" : formatRatio(bestPossible);
    return markup`<tr><th scope="row">${label}</th>${numberCell("at 95 % acceptance", best)}
${textCell("result", thrownOut ?? "in the race")}</tr>
`;
  });
  return section(
    "candidates",
    "Candidates",
    markup`<table class="plain">
<thead><tr><th scope="col">drafting</th><th class="number" scope="col">at 95 % acceptance</th>
<th scope="col">result</th></tr></thead><tbody>
${rows}</tbody></table>
`,
  );
}

/** What each part of the search took and found. */
export function stagesSection({ stages }: TuneReport): Content {
  if (stages.length === 0) return undefined;
  const rows = stages.map(({ name, seconds, loads, found }) => {
    return markup`<tr><th scope="row">${name}</th>${numberCell("time", formatDuration(seconds * 1000))}
${numberCell("loads", formatCount(loads))}${textCell("found", found)}</tr>
`;
  });
  return section(
    "stages",
    "How the search went",
    markup`<table class="plain">
<thead><tr><th scope="col">stage</th><th class="number" scope="col">time</th><th class="number" scope="col">loads</th>
<th scope="col">found</th></tr></thead><tbody>
${rows}</tbody></table>
`,
  );
}
