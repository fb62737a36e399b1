/** What a server has drafted since its start. */
export interface DraftCounters {
  /** Number of drafts that the target checked. */
  readonly drafts: number;
  readonly drafted: number;
  readonly accepted: number;
  /** Number of drafts whose first `i + 1` tokens were accepted. */
  readonly acceptedByPosition: readonly number[];
}

/** A draft cannot be longer than the batch that checks it. */
const mostPositions = 2048;

const number = String.raw`\d{1,15}(?:\.\d{1,9})?(?:e\+\d{1,2})?`;
const counter = new RegExp(
  String.raw`^llamacpp:spec_decode_num_([a-z_]{1,40})_total(?:\{position="(\d{1,4})"\})? (${number})\r?$`,
  "gm",
);

/**
 * Reads the counters of drafting from the text of `/metrics`. They add up over all requests of a server: take the
 * difference of two readings.
 * @returns undefined on builds that do not have them.
 * @see llama.cpp tools/server/server-context.cpp, get_metrics, v0.5.0
 */
export function parseDraftCounters(metrics: string): DraftCounters | undefined {
  const totals = new Map<string, number>();
  const acceptedByPosition: number[] = [];
  for (const [, name = "", position, value] of metrics.matchAll(counter)) {
    if (position === undefined) totals.set(name, Number(value));
    else if (name === "accepted_tokens_per_pos" && Number(position) < mostPositions) {
      while (acceptedByPosition.length < Number(position)) acceptedByPosition.push(0);
      acceptedByPosition[Number(position)] = Number(value);
    }
  }
  const [drafts, drafted, accepted] = ["drafts", "draft_tokens", "accepted_tokens"].map((name) => totals.get(name));
  if (drafts === undefined || drafted === undefined || accepted === undefined) return undefined;
  return { drafts, drafted, accepted, acceptedByPosition };
}
