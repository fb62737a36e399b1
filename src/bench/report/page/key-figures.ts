import { formatDuration } from "../../../base/text/units.ts";
import type { BenchReport } from "../../bench-report.ts";
import type { Measurement } from "../../measurement.ts";
import { toneOf } from "../chart/lane.ts";
import {
  countOf,
  formatChange,
  formatChangeInterval,
  formatCount,
  formatInterval,
  formatMemory,
  formatMs,
  formatRatio,
  formatShare,
  formatSpeed,
} from "../../number-words.ts";
import { geometricMean, measurementsOf, promptSpeeds } from "../prompt-speeds.ts";
import { medianOf } from "../../statistics/interval.ts";
import { type Content, markup, type Markup } from "./markup.ts";
import { keyFigure } from "./page-frame.ts";

/** The few numbers that most people look for. Those that are not known are left out. */
export function keyFigures(report: BenchReport): Markup {
  const [first, second] = report.settings;
  const measured = {
    first: measurementsOf(report.rounds, first.label),
    second: measurementsOf(report.rounds, second.label),
  };
  return markup`<dl class="figures">
${[
  speedup(report),
  speed(report, [first.label, second.label]),
  acceptance(measured.second),
  firstToken(report.firstToken, measured),
  report.draftBytes === null
    ? undefined
    : keyFigure("memory of the draft", formatMemory(report.draftBytes), "model, cache and buffers"),
  keyFigure(
    "measured",
    formatDuration(report.seconds * 1000),
    `${countOf(report.prompts.length, "prompt")}, ${countOf(report.rounds.length, "round")}`,
  ),
]}</dl>
`;
}

interface Measured {
  readonly first: readonly Measurement[];
  readonly second: readonly Measurement[];
}

function speedup({ verdict: { estimate } }: BenchReport): Content {
  if (estimate === undefined) return keyFigure("speedup", "not known", "no prompt was measured on both");
  const value = markup`<span class="${toneOf(estimate)}">${formatRatio(estimate.ratio)}</span>`;
  return keyFigure("speedup", value, `${formatInterval(estimate)} with 95 % confidence`);
}

function speed(report: BenchReport, labels: readonly [string, string]): Content {
  const pairs = promptSpeeds(report, labels).flatMap(({ speeds }) => (speeds === null ? [] : [speeds]));
  const first = geometricMean(pairs.map(([value]) => value));
  const second = geometricMean(pairs.map(([, value]) => value));
  if (first === null || second === null) return undefined;
  return keyFigure(
    "tokens a second",
    `${formatSpeed(first)} → ${formatSpeed(second)}`,
    "geometric mean over the prompts",
  );
}

function acceptance(measurements: readonly Measurement[]): Content {
  const drafted = measurements.reduce((sum, { draftTokens }) => sum + draftTokens, 0);
  if (drafted === 0) return undefined;
  const accepted = measurements.reduce((sum, { acceptedTokens }) => sum + acceptedTokens, 0);
  return keyFigure(
    "accepted",
    formatShare(accepted / drafted),
    `${formatCount(accepted)} of ${formatCount(drafted)} drafted tokens`,
  );
}

function firstToken(estimate: BenchReport["firstToken"], { first, second }: Measured): Content {
  const [before, after] = [first, second].map((all) => describeMedian(all.map(({ firstTokenMs }) => firstTokenMs)));
  const medians = before && after && `median ${before} → ${after} ms`;
  if (estimate === null) return medians && keyFigure("time to first token", medians, undefined);
  return keyFigure("time to first token", formatChange(estimate.ratio), [
    formatChangeInterval(estimate),
    medians && markup`<br>${medians}`,
  ]);
}

/** @returns undefined of nothing. */
function describeMedian(values: readonly number[]): string | undefined {
  return values.length === 0 ? undefined : formatMs(medianOf(values));
}
