import { formatShare } from "../number-words.ts";
import { busyShare } from "../statistics/step-costs.ts";
import type { TuneFinalist, TuneReport } from "../tune-report.ts";

/** What to know about a busy machine; undefined where it was not, or where the system does not tell. */
export function busyNote({ waitShare, timing }: Pick<TuneReport, "waitShare" | "timing">): string | undefined {
  if (waitShare === null || waitShare < busyShare) return undefined;
  const counted =
    timing === "cpu"
      ? "Processor time was compared, which that changes little."
      : "Wall-clock time was compared, so the speeds would be higher on a quiet machine.";
  return `The servers waited for a processor for ${formatShare(waitShare)} of the time. ${counted}`;
}

const endSentences: Readonly<Record<TuneReport["end"], string | undefined>> = {
  precise: undefined,
  "no-candidate": undefined,
  "time-over": "The time was over before the interval was narrow enough.",
  interrupted: "The measurement was interrupted; these are the results so far.",
  "server-died": "A server died again and again; these are the results so far.",
  "prompts-used-up": "All prompts were used up: a server that remembers prompts may see each only once.",
  "loads-used-up": "To measure longer, the models would have to be loaded again.",
};

/** Why it ended, and the notes of the report. */
export function limitNotes({ end, notes }: Pick<TuneReport, "end" | "notes">): string[] {
  return [endSentences[end], ...notes].filter((note) => note !== undefined);
}

/** What became of a setting that was measured. */
export function finalistResult({ dropped, setting }: TuneFinalist, winner: TuneReport["winner"]): string {
  if (dropped !== null) return dropped;
  return setting.label === winner ? "the winner" : "not decided";
}
