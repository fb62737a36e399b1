import { type FailedRequest, isMeasured, type Measurement, type Round } from "../../measurement.ts";
import { countOf, formatCount, formatMs, formatShare } from "../../number-words.ts";
import { type Content, markup, type Markup } from "./markup.ts";
import { closed, section } from "./page-frame.ts";

const columns = [
  "prompt",
  "pass",
  "setting",
  "tokens",
  "generating, ms",
  "processor, ms",
  "prompt tokens",
  "first token, ms",
  "drafted",
  "accepted",
  "waiting",
  "at",
];

/** Every answer, in the order in which it was asked for. */
export function roundsSection(rounds: readonly Round[]): Content {
  if (rounds.length === 0) return undefined;
  const heads = columns.map((name) => markup`<th scope="col">${name}</th>`);
  const table = markup`<div class="scroll" tabindex="0" role="region" aria-label="All rounds"><table class="raw">
<thead><tr>${heads}</tr></thead>
<tbody>
${rounds.map(roundRows)}</tbody></table></div>
`;
  return section("rounds", "Raw data", closed(countOf(rounds.length, "round"), table));
}

function roundRows({ promptId, pass, order, results, waitShare, at }: Round): Content {
  return order.flatMap((label) => {
    const result = Object.hasOwn(results, label) ? results[label] : undefined;
    if (result === undefined) return [];
    return markup`<tr><td class="path">${promptId}</td><td>${pass}</td><td>${label}</td>${resultCells(result)}
<td>${waitShare === null ? "" : formatShare(waitShare)}</td><td>${at}</td></tr>
`;
  });
}

function resultCells(result: Measurement | FailedRequest): Markup {
  if (!isMeasured(result)) return markup`<td colspan="7">failed: ${result.error}</td>`;
  const { tokens, generateMs, cpuMs, promptTokens, firstTokenMs, draftTokens, acceptedTokens } = result;
  const numbers = [
    formatCount(tokens),
    formatMs(generateMs),
    cpuMs === null ? "" : formatMs(cpuMs),
    formatCount(promptTokens),
    formatMs(firstTokenMs),
    formatCount(draftTokens),
    formatCount(acceptedTokens),
  ];
  return markup`${numbers.map((number) => markup`<td class="number">${number}</td>`)}`;
}
