import { expect, test } from "vitest";
import type { DraftingStatus } from "../../../../src/control/messages.ts";
import { describeDrafting, draftProofTexts } from "../../../../src/llama/server/draft-proof-texts.ts";

const on: DraftingStatus = { state: "on", draftTokens: 92, acceptedTokens: 71 };

test.each<[DraftingStatus, string]>([
  [on, "on, 71 of 92 tokens accepted"],
  [{ state: "off", reason: "the profile asks for none" }, "off: the profile asks for none"],
  [{ state: "unproven" }, "not proven yet"],
])("drafting %j: %s", (drafting, words) => {
  expect(describeDrafting(drafting)).toBe(words);
  expect(draftProofTexts.describe(drafting)).toBe(`drafting ${words}`);
});

test("a server that must draft and does not is an error of the profile", () => {
  expect(draftProofTexts.explainFailure("the proof request drafted no token")).toMatchObject({
    kind: "not-drafting",
    message: "the server does not draft: the proof request drafted no token",
    permanent: true,
    exit: "config",
  });
});

test("a server that was restarted without its draft says why, and since when", () => {
  const at = new Date("2026-01-01T00:00:00.000Z");
  expect(draftProofTexts.explainFallback("it was slower (0.84 ×)", at)).toBe(
    "it was slower (0.84 ×), restarted without the draft at 2026-01-01T00:00:00.000Z",
  );
});
