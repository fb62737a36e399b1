import { describe, expect, test } from "vitest";
import { parseTraffic } from "../../../../src/llama/traffic/traffic-lines.ts";

const none = { tokens: 0, seconds: 0, draftTokens: 0, acceptedTokens: 0, drafts: 0, acceptedLengths: 0 };

describe("a log line about a request", () => {
  test("its generated tokens and the time for them, on new builds and old", () => {
    const speed = { ...none, tokens: 64, seconds: 0.0521 };
    expect(
      parseTraffic(
        "0.00.866.497 I slot print_timing: id  0 | task 0 |        eval time =      52.10 ms /    64 tokens (    " +
          "0.83 ms per token,  1209.14 tokens per second)",
      ),
    ).toEqual(speed);
    expect(
      parseTraffic(
        "       eval time =      52.10 ms /    64 tokens (    0.81 ms per token,  1228.41 tokens per second)",
      ),
    ).toEqual(speed);
  });

  test("its drafted and accepted tokens", () => {
    const drafted = { ...none, draftTokens: 33, acceptedTokens: 19 };
    expect(parseTraffic("draft acceptance rate = 0.57576 (   19 accepted /    33 generated)")).toEqual(drafted);
  });

  test("how many steps checked a draft, on builds that log the mean length", () => {
    const line =
      "0.00.866.502 I slot print_timing: id  0 | task 0 | draft acceptance = 0.84211 (   48 accepted /    57 " +
      "generated), mean len =  4.20";
    expect(parseTraffic(line)).toEqual({
      ...none,
      draftTokens: 57,
      acceptedTokens: 48,
      drafts: 15,
      acceptedLengths: 63,
    });
  });

  test("no step, when every draft was rejected", () => {
    const line = "draft acceptance = 0.00000 (    0 accepted /     9 generated), mean len =  1.00";
    expect(parseTraffic(line)).toEqual({ ...none, draftTokens: 9 });
  });

  test.each([
    "prompt eval time =       5.64 ms /    16 tokens (    0.35 ms per token,  2834.87 tokens per second)",
    "      total time =      55.24 ms /    80 tokens",
    "srv  update_slots: all slots are idle",
    "",
  ])("nothing: %s", (line) => expect(parseTraffic(line)).toBeUndefined());
});

describe("invalid numbers", () => {
  const huge = "9".repeat(400);
  test.each([
    "eval time = 1..5 ms /    64 tokens",
    "eval time = . ms /    64 tokens",
    "eval time = nan ms /    64 tokens",
    "eval time = inf ms /    64 tokens",
    "eval time = -1.5 ms /    64 tokens",
    `eval time = ${huge} ms /    64 tokens`,
    `eval time = 1.5 ms /    ${huge} tokens`,
    "eval time = 1e9 ms /    64 tokens",
    "draft acceptance = 1.00000 (   48 accepted /    9 generated)",
    `draft acceptance = 1.00000 (   ${huge} accepted /    ${huge} generated)`,
    "draft acceptance = 0..5 (   4 accepted /    9 generated)",
  ])("are ignored: case %#", (line) => expect(parseTraffic(line)).toBeUndefined());

  test.each(["1..5", "nan", "1.0000000001", huge, "0"])(
    "with an invalid or tiny mean length (case %#) give at most as many steps as tokens, and finite sums",
    (length) => {
      const traffic = parseTraffic(`draft acceptance = 0.5 (   48 accepted /    57 generated), mean len =  ${length}`);
      for (const value of Object.values(traffic ?? {})) expect(Number.isFinite(value)).toBe(true);
      expect(traffic).toMatchObject({ draftTokens: 57, acceptedTokens: 48 });
      expect(traffic?.drafts).toBeLessThanOrEqual(57);
    },
  );
});
