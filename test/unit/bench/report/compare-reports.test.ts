import { describe, expect, test } from "vitest";
import type { BenchReport } from "../../../../src/bench/bench-report.ts";
import type { Estimate } from "../../../../src/bench/estimate.ts";
import { isMeasured, type Measurement } from "../../../../src/bench/measurement.ts";
import { compareReports } from "../../../../src/bench/report/compare-reports.ts";
import { describeComparison } from "../../../../src/bench/report/describe-comparison.ts";
import { losingReport, payingReport } from "../../../support/bench-reports.ts";

/** The mean, and an interval from the least to the largest prompt: exact, unlike a bootstrap. */
function widest(ratios: readonly (readonly number[])[]): Estimate {
  const logRatios = ratios.map((passes) => passes.reduce((sum, value) => sum + value, 0) / passes.length);
  const mean = logRatios.reduce((sum, value) => sum + value, 0) / logRatios.length;
  const [low, high] = [Math.min(...logRatios), Math.max(...logRatios)];
  return { ratio: Math.exp(mean), low: Math.exp(low), high: Math.exp(high), prompts: logRatios.length };
}

/** The same report with the times of one setting multiplied. */
function slowed(report: BenchReport, label: string, factor: number | ((promptId: string) => number)): BenchReport {
  const scale = (result: Measurement, by: number) => ({
    ...result,
    generateMs: result.generateMs * by,
    cpuMs: (result.cpuMs ?? 0) * by,
  });
  return {
    ...report,
    rounds: report.rounds.map((round) => {
      const result = round.results[label];
      const by = typeof factor === "number" ? factor : factor(round.promptId);
      return isMeasured(result) ? { ...round, results: { ...round.results, [label]: scale(result, by) } } : round;
    }),
  };
}

const before = payingReport();

describe("two reports", () => {
  test("that are the same show no difference", () => {
    const same = compareReports(before, before, widest);
    expect(same).toMatchObject({
      version: 1,
      profile: "glm47-spec",
      isRegression: false,
      isFaster: false,
      differences: [],
    });
    expect(same.compared.map(({ what, result, estimate }) => [what, result, estimate.ratio, estimate.prompts])).toEqual(
      [
        ['speed of "none"', "no difference can be shown", 1, 12],
        ['speed of "profile"', "no difference can be shown", 1, 12],
        ["speedup", "no difference can be shown", 1, 12],
      ],
    );
  });

  test("show a regression of the setting that got slower, and of the speedup", () => {
    const { compared, isRegression } = compareReports(before, slowed(before, "profile", 1.25), widest);
    expect(isRegression).toBe(true);
    expect(compared.map(({ result, estimate }) => [result, estimate.ratio.toFixed(6)])).toEqual([
      ["no difference can be shown", "1.000000"],
      ["regression", "0.800000"],
      ["regression", "0.800000"],
    ]);
  });

  test("are compared by a bootstrap over prompts", () => {
    const noisy = (id: string) => 1.25 * (1 + (Number.parseInt(id.slice(-1), 16) - 1) / 100);
    const { compared } = compareReports(before, slowed(before, "profile", noisy));
    const [none, profile] = compared;
    expect(none?.estimate).toEqual({ ratio: 1, low: 1, high: 1, prompts: 12 });
    expect(profile?.result).toBe("regression");
    const { ratio = 0, low = 0, high = 0 } = profile?.estimate ?? {};
    expect(ratio).toBeCloseTo(0.8, 2);
    expect(low).toBeGreaterThan(0.79);
    expect(low).toBeLessThan(ratio);
    expect(high).toBeGreaterThan(ratio);
    expect(high).toBeLessThan(0.81);
  });

  test("show what got faster, which is no improvement when something else got slower", () => {
    expect(compareReports(before, slowed(before, "profile", 0.5), widest)).toMatchObject({
      isRegression: false,
      isFaster: true,
    });
    const mixed = compareReports(before, slowed(before, "none", 0.5), widest);
    expect(mixed.compared.map(({ result }) => result)).toEqual(["faster", "no difference can be shown", "regression"]);
    expect(mixed).toMatchObject({ isRegression: true, isFaster: false });
  });

  test("show nothing where some prompts got faster and some slower", () => {
    const first = before.prompts[0]?.id;
    const { compared } = compareReports(
      before,
      slowed(before, "profile", (id) => (id === first ? 0.5 : 1.5)),
      widest,
    );
    expect(compared[1]?.result).toBe("no difference can be shown");
  });

  test("are compared over the prompts of both, and say which are missing", () => {
    const [gone, ...kept] = before.prompts;
    const other = { id: "f".repeat(16), kind: "own", excerpt: "new" };
    const after = { ...slowed(before, "none", 2), prompts: [...kept, other] };
    const rounds = after.rounds.map((round) =>
      round.promptId === gone?.id ? { ...round, promptId: other.id } : round,
    );
    const { compared, differences } = compareReports(before, { ...after, rounds }, widest);
    expect(compared.map(({ estimate }) => estimate.prompts)).toEqual([11, 11, 11]);
    expect(differences).toEqual([
      "1 prompt of the first report is not in the second",
      "1 prompt of the second report is not in the first",
    ]);
  });

  test("without a common prompt cannot be compared", () => {
    const refusal = expect.objectContaining({ code: "reports-not-comparable", exit: "usage" });
    expect(() => compareReports(before, { ...before, rounds: [] }, widest)).toThrow(refusal);
    expect(() => compareReports(before, before, () => undefined)).toThrow(refusal);
  });

  test("with different numbers of passes are compared by the means of all passes", () => {
    const after = slowed(before, "profile", 2);
    const seen: (readonly (readonly number[])[])[] = [];
    const note = (ratios: readonly (readonly number[])[]) => {
      seen.push(ratios);
      return widest(ratios);
    };
    const ratio = (rounds: typeof after.rounds) =>
      compareReports(before, { ...after, rounds }, note).compared.map(({ estimate }) => estimate.ratio.toFixed(9));
    expect(ratio(after.rounds)).toEqual(["1.000000000", "0.500000000", "0.500000000"]);
    const [twice, once] = [ratio([...after.rounds, ...after.rounds]), ratio(after.rounds.slice(0, 12))];
    expect(twice).toEqual(["1.000000000", "0.500000000", "0.500000000"]);
    expect(once).not.toEqual(twice);
    expect(seen.map((ratios) => ratios.map((passes) => passes.length)[0])).toEqual([4, 4, 4, 4, 4, 4, 1, 1, 1]);
  });

  test("with different settings compare those of the same label, and the speedup", () => {
    const [none, profile] = before.settings;
    const after = { ...before, settings: [none, { ...profile, label: "other" }] as const };
    const rounds = before.rounds.map((round) => ({
      ...round,
      order: ["none", "other"],
      results: { none: round.results["none"], other: round.results["profile"] } as typeof round.results,
    }));
    const { compared, differences } = compareReports(before, { ...after, rounds }, widest);
    expect(compared.map(({ what }) => what)).toEqual(['speed of "none"', "speedup"]);
    expect(differences).toEqual(['"profile" is only in the first report', '"other" is only in the second report']);
  });

  test("that count different times are compared by the wall clock", () => {
    const { compared, differences } = compareReports(before, { ...before, timing: "cpu" }, widest);
    expect(compared.map(({ estimate }) => estimate.ratio)).toEqual([1, 1, 1]);
    expect(differences).toEqual(["the time that counts differs: wall, now cpu; wall-clock time is compared here"]);
  });

  test.each([
    ["wall", "the machine was busy", false],
    ["cpu", "regression", true],
  ] as const)("of a busy machine by %s time: a slower setting is %s", (timing, result, isRegression) => {
    const [quiet, busy] = [before, { ...before, waitShare: 0.3 }].map((report) => ({ ...report, timing }));
    for (const [first, second] of [
      [busy, quiet],
      [quiet, busy],
    ] as const) {
      const slow = slowed(slowed(second ?? before, "none", 1.25), "profile", 1.25);
      const comparison = compareReports(first ?? before, slow, widest);
      expect(comparison.compared.map((one) => one.result)).toEqual([result, result, "no difference can be shown"]);
      expect(comparison.isRegression).toBe(isRegression);
    }
  });

  test("tell all else that differs", () => {
    const [none, profile] = before.settings;
    const after: BenchReport = {
      ...before,
      profile: "other",
      llmctl: "0.2.0",
      build: "b8390",
      concurrency: 4,
      waitShare: 0.5,
      machine: { processor: "slow", processors: 2, memoryBytes: 1e9, devices: [], system: "Darwin" },
      settings: [
        { ...none, files: none.files.map((file) => ({ ...file, sha256: "0" })) },
        {
          ...profile,
          draft: null,
          command: { file: "/bin/server", args: [...profile.command.args.slice(0, -2), "--port", "1", "--mlock"] },
        },
      ],
    };
    expect(compareReports(before, after, widest).differences).toEqual([
      "the profile differs: glm47-spec, now other",
      "llmctl differs: 0.1.0, now 0.2.0",
      "the build differs: v0.5.0-cuda-41ad7826, now b8390",
      "the processor differs: AMD Ryzen 9 7950X 16-Core Processor, now slow",
      "the number of processors differs: 32, now 2",
      "the memory differs: 125.7 GiB, now 954 MiB",
      "the list of devices differs: CUDA0: NVIDIA GeForce RTX 4090, 24 GB, now none",
      "the system differs: Linux 6.12.48 x64, now Darwin",
      "the number of requests at once differs: 1, now 4",
      'the files of "none" differ: /srv/models/GLM-4.7-UD-Q2_K_XL-00001-of-00003.gguf (49834122240 bytes, SHA-256 ' +
        "6f1ed002ab5595859014ebf0951522d9a1f1d5d6f0c3f7b0a5b1f1d2c3e4f506), now " +
        "/srv/models/GLM-4.7-UD-Q2_K_XL-00001-of-00003.gguf (49834122240 bytes, SHA-256 0)",
      'the drafting of "profile" differs: type draft-simple, model /srv/models/GLM-4.5-Air-UD-Q2_K_XL.gguf, n_max 4, ' +
        "n_min 0, p_min 0.5, now none",
      'the program of "profile" differs: /home/kim/.local/share/llmctl/builds/v0.5.0/bin/llama-server, now /bin/server',
      'the flags of "profile" differ: --spec-draft-p-min 0.5, now --mlock',
      "the machine was busy in the second report",
    ]);
  });
});

describe("a comparison on a terminal", () => {
  test("names the regressions first, then each number, then what differs", () => {
    const text = describeComparison(compareReports(before, losingReport(), widest), 90);
    expect(text.split("\n").slice(0, 8)).toEqual([
      'glm47-spec: regression: speed of "none" 0.72 × (0.63 to 0.83), speed of "profile" 0.47 ×',
      "(0.36 to 0.60), speedup 0.66 × (0.51 to 0.85); more than one thing may be the cause, see",
      "the notes",
      "",
      "WHAT                CHANGE  95 % INTERVAL  PROMPTS  RESULT",
      'speed of "none"     0.72 ×  0.63 to 0.83   12       regression',
      'speed of "profile"  0.47 ×  0.36 to 0.60   12       regression',
      "speedup             0.66 ×  0.51 to 0.85   12       regression",
    ]);
    expect(text).toContain("note: the number of processors differs: 32, now 8\n");
    expect(text.split("\n").every((line) => line.length <= 90)).toBe(true);
  });

  test("says when nothing differs, and when everything got faster", () => {
    expect(describeComparison(compareReports(before, before, widest), Infinity)).toMatch(
      /^glm47-spec: no difference can be shown\n\nWHAT .*\n.*\n.*\nspeedup .*\n$/,
    );
    expect(describeComparison(compareReports(before, slowed(before, "profile", 0.5), widest), Infinity)).toMatch(
      /^glm47-spec: faster: speed of "profile" 2.00 × \(2.00 to 2.00\), speedup 2.00 × \(2.00 to 2.00\)\n/,
    );
  });
});
