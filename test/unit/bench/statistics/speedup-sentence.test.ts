import { describe, expect, test } from "vitest";
import type { Estimate, Verdict } from "../../../../src/bench/estimate.ts";
import { type SentenceFacts, speedupSentence } from "../../../../src/bench/statistics/speedup-sentence.ts";

const minute = 60_000;
const nothing: SentenceFacts = { firstToken: null, draftBytes: null, elapsedMs: 10 * minute };
const estimate = (ratio: number, low: number, high: number, prompts = 12): Estimate => ({ ratio, low, high, prompts });
const wide = estimate(1.02, 1.02 / 1.09, 1.02 * 1.09);
const unknown = (values: Partial<Extract<Verdict, { kind: "unknown" }>>): Verdict => ({
  kind: "unknown",
  estimate: wide,
  moreMs: undefined,
  morePrompts: undefined,
  ...values,
});

describe("the sentence of a comparison", () => {
  test.each<[string, Verdict, Partial<SentenceFacts>]>([
    [
      "pays 1.31 × (1.24 to 1.38), TTFT +4 %, the draft takes 1.2 GiB",
      { kind: "pays", estimate: estimate(1.31, 1.24, 1.38) },
      { firstToken: estimate(1.04, 1.02, 1.06), draftBytes: 1.2 * 2 ** 30 },
    ],
    [
      "loses: 0.81 × (0.77 to 0.85), TTFT −3 %, the draft takes 38 MiB",
      { kind: "loses", estimate: estimate(0.81, 0.77, 0.85) },
      { firstToken: estimate(0.97, 0.95, 0.99), draftBytes: 38 * 2 ** 20 },
    ],
    // What was not shown about the first token is not said.
    [
      "pays 1.31 × (1.24 to 1.38)",
      { kind: "pays", estimate: estimate(1.31, 1.24, 1.38) },
      { firstToken: estimate(1.04, 0.98, 1.1), draftBytes: 0 },
    ],
    ["equal: 0.999 × (0.990 to 1.003)", { kind: "equal", estimate: estimate(0.999, 0.99, 1.003) }, {}],
    ["pays 1.020 × (1.004 to 1.040)", { kind: "pays", estimate: estimate(1.02, 1.004, 1.04) }, {}],
    ["pays 1.31 × (1.24 to 1.38) for this prompt", { kind: "pays", estimate: estimate(1.31, 1.24, 1.38, 1) }, {}],
    [
      "loses: 0.81 × (0.77 to 0.85) for these 3 prompts",
      { kind: "loses", estimate: estimate(0.81, 0.77, 0.85, 3) },
      {},
    ],
    ["no difference can be shown: ± 9 % after 10 min; another 40 min would do", unknown({ moreMs: 40 * minute }), {}],
    [
      "no difference can be shown: ± 9 % after 10 min; about 35 more prompts would do",
      unknown({ morePrompts: 31 }),
      {},
    ],
    ["no difference can be shown: ± 9 % after 10 min; about 1 more prompt would do", unknown({ morePrompts: 1 }), {}],
    ["no difference can be shown: ± 9 % after 10 min", unknown({}), {}],
    [
      "no difference can be shown after 3 s; another 3 s would do",
      unknown({ estimate: undefined, moreMs: 3000 }),
      { elapsedMs: 3000 },
    ],
    [
      "no difference can be shown: ± 0.5 % after 2 h; another 4 days would do",
      unknown({ estimate: estimate(1, 1 / 1.005, 1.005), moreMs: 96 * 60 * minute }),
      { elapsedMs: 120 * minute },
    ],
    [
      "no difference can be shown: ± 9 % after 10 min; about 1300 more prompts would do",
      unknown({ morePrompts: 1234 }),
      {},
    ],
  ])("%s", (sentence, verdict, facts) => {
    expect(speedupSentence(verdict, { ...nothing, ...facts })).toBe(sentence);
  });
});
