import type { DraftCounters } from "../../llama/server/draft-counters.ts";

/**
 * Share of the drafts between two readings whose first `i + 1` tokens were accepted.
 * @returns null where nothing was drafted, or the server was another one meanwhile.
 */
export function acceptedByPosition(before: DraftCounters, after: DraftCounters): number[] | null {
  const drafts = after.drafts - before.drafts;
  const counts = after.acceptedByPosition.map((count, index) => count - (before.acceptedByPosition[index] ?? 0));
  if (drafts <= 0 || counts.some((count) => count < 0 || count > drafts)) return null;
  return counts.map((count) => count / drafts);
}
