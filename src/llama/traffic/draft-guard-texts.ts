import { describeFix } from "../../base/fix.ts";
import type { DraftingSpeedup } from "../../control/messages.ts";
import type { DraftLength } from "../draft/best-draft-length.ts";

interface Circumstances {
  /** Name of the profile. */
  readonly name: string;
  /** Whether the server will be restarted without the draft. */
  readonly fallsBack: boolean;
}

/** Less than this is not worth a draft's memory, and prediction is no better. */
const worthwhile = 1.02;

export const stoppedWarning =
  "drafting has stopped: 1000 tokens in a row were generated without a draft; " +
  "see the server's log, then restart the profile";

/** Drafting as measured: `0.84 × (0.79 to 0.89) the speed without a draft, over the last 230 drafted tokens`. */
export function describeSpeedup({ ratio, low, high, draftTokens }: DraftingSpeedup): string {
  const [middle, from, to] = [ratio, low, high].map((value) => value.toFixed(2));
  return `${middle} × (${from} to ${to}) the speed without a draft, over the last ${draftTokens} drafted tokens`;
}

/** Why a server was restarted without its draft. */
export function describeLoss({ ratio }: DraftingSpeedup): string {
  return `it was slower (${ratio.toFixed(2)} ×)`;
}

/** @param best What a draft length would bring; undefined where it cannot be predicted. */
export function lossWarning(
  speedup: DraftingSpeedup,
  { best, ...circumstances }: Circumstances & { readonly best: DraftLength | undefined },
): string {
  return `drafting costs more than it brings: ${describeSpeedup(speedup)}; ${describeWay(best, circumstances)}`;
}

function describeWay(best: DraftLength | undefined, circumstances: Circumstances): string {
  const { name } = circumstances;
  const tune = (before: string) => describeFix({ before, run: ["tune", name], after: "finds out" });
  if (best === undefined) return `${tune("what would pay,")}${describeFallback(circumstances)}`;
  const ratio = best.ratio.toFixed(2);
  const way =
    best.ratio > worthwhile
      ? `draft.n_max ${best.nMax} would bring about ${ratio} ×`
      : `no draft.n_max would pay: ${best.nMax} would bring about ${ratio} ×`;
  return `${way}; ${tune("what else would pay,")}${describeFallback(circumstances)}`;
}

/** Why a server was restarted without its draft. */
export const noneAcceptedReason = "none of its drafted tokens was accepted";

export function noneAcceptedWarning(draftTokens: number, circumstances: Circumstances): string {
  const fix = describeFix({ before: "", run: ["tune", circumstances.name], after: "finds what would pay" });
  return (
    `none of the last ${draftTokens} drafted tokens was accepted: the draft's vocabulary or chat template ` +
    `does not fit the target; remove the draft, or ${fix}${describeFallback(circumstances)}`
  );
}

function describeFallback({ fallsBack }: Circumstances): string {
  return fallsBack ? "; the server is restarted without the draft as soon as it is idle" : "";
}
