import type { DraftTrace } from "../../llama/server/draft-trace.ts";

/** Share of traced drafts whose first `i + 1` tokens were accepted, 0..1; null where nothing was drafted. */
export function acceptedInTrace(trace: DraftTrace | undefined): readonly number[] | null {
  const drafts = (trace?.answers ?? []).flatMap(({ cycles }) => cycles.filter(({ drafted }) => drafted > 0));
  if (drafts.length === 0) return null;
  const longest = drafts.reduce((most, { drafted }) => Math.max(most, drafted), 0);
  return Array.from(
    { length: longest },
    (_, index) => drafts.filter(({ accepted }) => accepted > index).length / drafts.length,
  );
}
