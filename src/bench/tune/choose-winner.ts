import type { Round, Timing } from "../measurement.ts";
import { estimateRatio } from "../statistics/estimate-ratio.ts";
import { equalWithin, judge } from "../statistics/judge.ts";
import type { Verdict } from "../estimate.ts";
import type { Finalist } from "./finalist.ts";

/** What a search has shown. */
export interface Winner {
  /** Undefined where drafting does not pay, or where nothing was shown. */
  readonly finalist: Finalist | undefined;
  /** Of the fastest finalist against no drafting. */
  readonly verdict: Verdict;
}

interface WinnerOptions {
  readonly none: string;
  readonly rounds: readonly Round[];
  readonly timing: Timing;
  readonly elapsedMs: number;
}

/**
 * The finalist to write into the profile: the fastest, and among those within 2 % of it the cheapest: without a draft
 * model, then with fewer drafted tokens.
 */
export function chooseWinner(finalists: readonly Finalist[], options: WinnerOptions): Winner {
  const { none, rounds, timing, elapsedMs } = options;
  const measured = finalists.flatMap((finalist) => {
    const estimate = estimateRatio(rounds, { first: none, second: finalist.label, timing });
    return estimate === undefined ? [] : [{ finalist, estimate }];
  });
  const fastest = measured.reduce((most, { estimate }) => Math.max(most, estimate.ratio), 0);
  const close = measured.filter(({ estimate }) => estimate.ratio * (1 + equalWithin) >= fastest);
  const [best] = close.toSorted((a, b) => compareCosts(a.finalist, b.finalist));
  if (best === undefined) {
    return {
      finalist: undefined,
      verdict: { kind: "unknown", estimate: undefined, moreMs: undefined, morePrompts: undefined },
    };
  }
  const verdict = judge(rounds, { first: none, second: best.finalist.label, timing }, elapsedMs);
  return { finalist: verdict.kind === "pays" ? best.finalist : undefined, verdict };
}

function compareCosts(a: Finalist, b: Finalist): number {
  const hasModel = ({ draft }: Finalist) => (draft.model === undefined ? 0 : 1);
  return hasModel(a) - hasModel(b) || (a.draft.n_max ?? 0) - (b.draft.n_max ?? 0);
}
