import type { StepCosts } from "../../supervisor/launch.ts";

/** What drafting has brought, added up over requests. */
export interface DraftedSteps {
  /** Steps of the target model. */
  readonly steps: number;
  /** Those of them that checked a draft; 0 where that is not known, and then all of them count. */
  readonly drafts: number;
  readonly draftTokens: number;
  readonly acceptedTokens: number;
}

/** A draft length with its speed over that without a draft. */
export interface DraftLength {
  readonly nMax: number;
  readonly ratio: number;
}

/** Finer than any count of tokens tells. */
const fineness = 1e-6;

/**
 * The longest draft (`n_max`) that would pay most, from what has been accepted and what batches cost. Each drafted
 * token is taken to be accepted with the same probability where the one before it was: what was accepted is known for
 * the present length only. With V and D what a batch costs target and draft, and Pi the share of drafts whose first i
 * tokens are accepted, a step with a draft of n tokens yields 1 + P1 + … + Pn tokens and costs
 * n · D(1) + V(n + 1) + D(n + 1). A step without one, as many as there are now, yields one token and costs
 * V(1) + D(1).
 * @returns the best length, perhaps with a ratio below 1; undefined where costs or acceptance are not known.
 */
export function findBestDraftLength(costs: StepCosts, drafted: DraftedSteps): DraftLength | undefined {
  const { targetMs, draftMs, reevaluates } = costs;
  const { share, rate } = fitAcceptance(drafted) ?? {};
  const single = targetMs?.[0];
  if (targetMs === null || single === undefined || share === undefined || rate === undefined) return undefined;
  const draftSingle = draftMs?.[0] ?? 0;
  let tokens = 1;
  let best: DraftLength | undefined;
  for (let nMax = 1; nMax < targetMs.length; nMax += 1) {
    tokens += share * rate ** nMax;
    const again = draftMs === null || !reevaluates ? 0 : draftMs[nMax];
    if (again === undefined) break; // no such batch of the draft was measured
    const withDraftMs = nMax * draftSingle + (targetMs[nMax] ?? Infinity) + again;
    const ratio = (single * tokens) / (share * withDraftMs + (1 - share) * (single + draftSingle));
    if (ratio > (best?.ratio ?? 0)) best = { nMax, ratio };
  }
  return best;
}

/**
 * The share of steps that draft, and the probability a, by which the accepted tokens of a draft are a + a² + … + aⁿ at
 * the mean length n of the drafts.
 * @returns undefined when nothing was drafted.
 */
function fitAcceptance({
  steps,
  drafts,
  draftTokens,
  acceptedTokens,
}: DraftedSteps): { readonly share: number; readonly rate: number } | undefined {
  if (steps <= 0 || draftTokens <= 0) return undefined;
  const drafting = drafts > 0 ? Math.min(drafts, steps) : steps;
  const length = Math.max(1, draftTokens / drafting);
  const accepted = acceptedTokens / drafting;
  let low = 0;
  let high = 1;
  while (high - low > fineness) {
    const rate = (low + high) / 2;
    if (sumOfPowers(rate, length) < accepted) low = rate;
    else high = rate;
  }
  return { share: drafting / steps, rate: high };
}

/** a + a² + … + aⁿ, also for an n that is no whole number. */
function sumOfPowers(rate: number, length: number): number {
  return rate > 1 - fineness ? length : (rate * (1 - rate ** length)) / (1 - rate);
}
