import type { TuneReport } from "../../tune-report.ts";
import { formatShare } from "../number-words.ts";
import { type Content, markup } from "./markup.ts";

/** From here on other programs slow the servers enough to be seen in an interval of ± 2 %. */
const busyShare = 0.1;

/** Whether the machine was too busy for the wall clock to be trusted. */
export function isBusy(waitShare: number | null): waitShare is number {
  return waitShare !== null && waitShare >= busyShare;
}

/** What a person must know before the numbers: how it ended, whether the machine was busy, what limits the result. */
export function limits({ end, waitShare, timing, notes }: Limits): Content {
  const busy = isBusy(waitShare)
    ? markup`<div class="warning" role="note"><strong>The machine was busy.</strong> ${busySentence(waitShare, timing)}</div>
`
    : undefined;
  const all = [endSentences[end], ...notes].filter((note) => note !== undefined);
  const list =
    all.length === 0 ? undefined : markup`<ul class="notes">${all.map((note) => markup`<li>${note}</li>`)}</ul>\n`;
  return [busy, list];
}

type Limits = Pick<TuneReport, "end" | "waitShare" | "timing" | "notes">;

/** For people, on pages and terminals. */
export function busySentence(waitShare: number, timing: Limits["timing"]): string {
  const counted =
    timing === "cpu" ? "Processor time counts here, which that changes little." : "Wall-clock time counts.";
  return `The servers waited for a processor for ${formatShare(waitShare)} of the time. ${counted}`;
}

/** Undefined for the ends that need no word. */
export const endSentences: Readonly<Record<Limits["end"], string | undefined>> = {
  precise: undefined,
  "no-candidate": undefined,
  "time-over": "The time was over before the interval was narrow enough.",
  interrupted: "The measurement was interrupted; these are the results so far.",
  "server-died": "A server died again and again; these are the results so far.",
  "prompts-used-up": "All prompts were used up: a server that remembers prompts may see each only once.",
};
