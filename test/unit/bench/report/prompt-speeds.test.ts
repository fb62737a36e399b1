import { describe, expect, test } from "vitest";
import type { Measurement, Round } from "../../../../src/bench/measurement.ts";
import { geometricMean, measurementsOf, promptSpeeds } from "../../../../src/bench/report/prompt-speeds.ts";

const prompts = ["a", "b", "c"].map((id) => ({ id, kind: "code", excerpt: `prompt ${id}` }));

function measured(tokens: number, generateMs: number, cpuMs: number | null = null): Measurement {
  return { tokens, generateMs, cpuMs, promptTokens: 1, firstTokenMs: 1, draftTokens: 0, acceptedTokens: 0 };
}

function round(promptId: string, results: Round["results"]): Round {
  return { promptId, pass: 0, order: Object.keys(results), results, waitShare: null, at: "" };
}

const rounds = [
  round("a", { none: measured(10, 1000), profile: measured(10, 500) }),
  round("a", { none: measured(10, 250), profile: measured(10, 500, 100) }),
  round("a", { none: { error: "gone" }, profile: measured(10, 1) }),
  round("b", { none: measured(0, 1), profile: measured(10, 500) }),
  round("elsewhere", { none: measured(1, 1), profile: measured(1, 1) }),
];

describe("the speeds of a prompt", () => {
  test("are geometric means over the rounds that measured both", () => {
    const speeds = promptSpeeds({ prompts, rounds, timing: "wall" }, ["none", "profile"]);
    expect(speeds.map(({ id, rounds: count, failed }) => [id, count, failed])).toEqual([
      ["a", 2, 1],
      ["b", 0, 0],
      ["c", 0, 0],
    ]);
    // 10 and 40 tokens a second without drafting, 20 both times with it.
    expect(speeds[0]?.speeds?.map((speed) => speed.toFixed(9))).toEqual(["20.000000000", "20.000000000"]);
    expect(speeds.slice(1).map((one) => one.speeds)).toEqual([null, null]);
  });

  test("count the time that the report counts", () => {
    const own = [round("a", { none: measured(10, 9, 1000), profile: measured(10, 9, 500) })];
    const [a] = promptSpeeds({ prompts, rounds: own, timing: "cpu" }, ["none", "profile"]);
    expect(a?.speeds?.map(Math.round)).toEqual([10, 20]);
  });
});

test("a geometric mean of nothing is null", () => {
  expect([geometricMean([]), geometricMean([2, 8])]).toEqual([null, 4]);
});

test("failed requests are no measurements", () => {
  expect(measurementsOf(rounds, "none")).toHaveLength(4);
  expect(measurementsOf(rounds, "other")).toEqual([]);
});
