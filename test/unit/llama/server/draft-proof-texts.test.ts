import { describe, expect, test } from "vitest";
import type { DraftingStatus, TrafficStatus } from "../../../../src/control/messages.ts";
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

describe("ten minutes of traffic", () => {
  const traffic: TrafficStatus = {
    tokens: 1000,
    draftTokens: 500,
    acceptedTokens: 300,
    acceptanceRate: 0.6,
    tokensPerSecond: 9,
    meanAcceptedLength: 2,
  };

  test("without a drafted token are a fault", () => {
    expect(draftProofTexts.findFault({ ...traffic, draftTokens: 0 }, 10)).toMatch(/^drafting has stopped/);
  });

  test("slower than the same server without a draft are a fault", () => {
    expect(draftProofTexts.findFault(traffic, 10)).toMatch(/^drafting costs more than it brings/);
    expect(draftProofTexts.findFault(traffic, 9)).toBeUndefined();
    expect(draftProofTexts.findFault(traffic, null)).toBeUndefined();
  });

  test("with few tokens are inconclusive", () => {
    expect(draftProofTexts.findFault({ ...traffic, tokens: 999, draftTokens: 0 }, 10)).toBeUndefined();
  });
});
