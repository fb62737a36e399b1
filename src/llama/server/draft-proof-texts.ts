import type { DraftingStatus } from "../../control/messages.ts";
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
  fallbackAsker: 'draft.on_loss "restart"',
  explainFallback: (loss, at) => `${loss}, restarted without the draft at ${at.toISOString()}`,
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
