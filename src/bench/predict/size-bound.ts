/** Better than every draft model does on any text but a copy. */
const mostAcceptance = 0.95;
/** What profiles draft at most. */
const longestDraft = 16;

/**
 * The speedup that no draft of this size exceeds, when checking tokens costs the target nothing more than one token
 * does: a draft whose bound is below 1 need not be fetched.
 * @param costShare What a token costs the draft, as a share of what it costs the target.
 * @param reevaluates Whether the draft evaluates every checked batch again; that costs it at least one token more.
 */
export function upperBound(costShare: number, { reevaluates }: { readonly reevaluates: boolean }): number {
  const again = reevaluates ? costShare : 0;
  let tokens = 1;
  let best = 0;
  for (let drafted = 1; drafted <= longestDraft; drafted += 1) {
    tokens += mostAcceptance ** drafted;
    best = Math.max(best, tokens / (1 + drafted * costShare + again));
  }
  return best;
}
