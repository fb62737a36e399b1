import type { DraftingStatus, TrafficStatus } from "../../control/messages.ts";
import type { ProofTexts } from "../../supervisor/launch.ts";

/** What the supervisor tells people about the proof request: it proves that the server drafts. */
export const draftProofTexts: ProofTexts = {
  asking: "asking it to draft",
  describe: (status) => `drafting ${describeDrafting(status)}`,
  explainFailure: (reason) => ({
    kind: "not-drafting",
    message: `the server does not draft: ${reason}`,
    fix: 'set draft.on_mismatch to "disable" to serve without drafting, or give a draft model that fits',
    permanent: true,
    exit: "config",
  }),
  findFault: findDraftingFault,
};

/** Whether the server drafts, in words: `on, 71 of 92 tokens accepted`. */
export function describeDrafting(drafting: DraftingStatus): string {
  switch (drafting.state) {
    case "on":
      return `on, ${drafting.acceptedTokens} of ${drafting.draftTokens} tokens accepted`;
    case "off":
      return `off: ${drafting.reason}`;
    case "unproven":
      return "not proven yet";
  }
}

/** Fewer tokens than this in ten minutes say nothing: one long prompt or a few short answers are not typical. */
const tellingTokens = 1000;

function findDraftingFault(recent: TrafficStatus, baseline: number | null): string | undefined {
  if (recent.tokens < tellingTokens) return undefined;
  if (recent.draftTokens === 0) {
    return (
      "drafting has stopped: tokens are generated, but none was drafted for ten minutes; " +
      "see the server's log, then restart the profile"
    );
  }
  if (baseline === null || recent.tokensPerSecond === null || recent.tokensPerSecond >= baseline) return undefined;
  return (
    "drafting costs more than it brings: the last ten minutes were slower than the same server without a draft " +
    "when it started; try a smaller draft.n_max or a profile without a draft " +
    "(long contexts and many requests at once are slower by themselves)"
  );
}
