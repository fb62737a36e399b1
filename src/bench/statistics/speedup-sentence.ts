import type { Estimate, Verdict } from "../estimate.ts";
import { formatChange, formatEstimate, formatMemory } from "../number-words.ts";
import { fewestPrompts } from "./estimate-ratio.ts";
import { spreadOf } from "./judge.ts";

/** What a sentence says beside the verdict. */
export interface SentenceFacts {
  /** Time to the first token of the second setting over that of the first; null: unknown. */
  readonly firstToken: Estimate | null;
  /** Memory that drafting takes, in bytes; null: unknown. */
  readonly draftBytes: number | null;
  readonly elapsedMs: number;
}

/**
 * The result of a comparison in one sentence: `pays 1.31 × (1.24 to 1.38), TTFT +4 %, the draft takes 1.2 GiB`. A
 * change of the time to the first token is only named where it was shown.
 */
export function speedupSentence(verdict: Verdict, facts: SentenceFacts): string {
  const { kind, estimate } = verdict;
  if (kind === "unknown") return unknownSentence(verdict, facts.elapsedMs);
  const start = kind === "pays" ? "pays" : `${kind}:`;
  return [`${start} ${formatEstimate(verdict.estimate)}${describePrompts(estimate)}`, ...describeCosts(facts)].join(
    ", ",
  );
}

function unknownSentence(
  { estimate, moreMs, morePrompts }: Extract<Verdict, { kind: "unknown" }>,
  elapsedMs: number,
): string {
  const after = `after ${roughDuration(elapsedMs)}`;
  const spread =
    estimate === undefined ? ` ${after}` : `: ± ${percent(spreadOf(estimate))} % ${after}${describePrompts(estimate)}`;
  return `no difference can be shown${spread}${describeMore(moreMs, morePrompts)}`;
}

function describeMore(moreMs: number | undefined, morePrompts: number | undefined): string {
  if (moreMs !== undefined) return `; another ${roughDuration(moreMs)} would do`;
  if (morePrompts === undefined) return "";
  return `; about ${roughCount(morePrompts)} more ${morePrompts === 1 ? "prompt" : "prompts"} would do`;
}

/** The interval of few prompts says nothing about others. */
function describePrompts({ prompts }: Estimate): string {
  if (prompts >= fewestPrompts) return "";
  return prompts === 1 ? " for this prompt" : ` for these ${prompts} prompts`;
}

function describeCosts({ firstToken, draftBytes }: SentenceFacts): string[] {
  const isShown = firstToken !== null && (firstToken.low > 1 || firstToken.high < 1);
  const change = isShown ? formatChange(firstToken.ratio) : noChange;
  return [
    ...(change === noChange ? [] : [`TTFT ${change}`]),
    ...(draftBytes === null || draftBytes <= 0 ? [] : [`the draft takes ${formatMemory(draftBytes)}`]),
  ];
}

const noChange = formatChange(1);

/** Never 0: an interval has a width. */
function percent(share: number): string {
  const value = 100 * share;
  return value < 1 ? Math.max(0.1, value).toFixed(1) : value.toFixed(0);
}

/** An estimate is not exact to the second. */
function roughDuration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

function roughCount(count: number): number {
  if (count < 10) return count;
  const step = count < 100 ? 5 : 10 ** (Math.floor(Math.log10(count)) - 1);
  return Math.ceil(count / step) * step;
}
