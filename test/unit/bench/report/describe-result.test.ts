import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { describeResult } from "../../../../src/bench/report/describe-result.ts";
import { describeTune } from "../../../../src/bench/report/describe-tune.ts";
import { losingReport, payingReport, unclearReport } from "../../../support/bench-reports.ts";
import { findHostile } from "../../../support/hostile-text.ts";
import { fruitfulTune, fruitlessTune } from "../../../support/tune-reports.ts";

const files = { html: "/home/kim/run.html", json: "/home/kim/run.json" };

describe("a result on a terminal", () => {
  test("starts with the sentence, then has the kinds, what drafting takes, and the files", () => {
    expect(describeResult(payingReport(), { width: 80, files })).toBe(`\
glm47-spec: pays 1.21 × (1.06 to 1.38), TTFT +4 %, the draft takes 1.2 GiB

KIND       PROMPTS  none t/s  profile t/s  SPEEDUP  95 % INTERVAL
code       3        38.3      59.9         1.56 ×   1.49 to 1.64
rewrite    3        36.7      50.6         1.38 ×   1.35 to 1.41
prose      3        38.5      34.1         0.89 ×   0.85 to 0.93
questions  3        37.8      42.0         1.11 ×   1.08 to 1.14
all        12       37.8      45.7         1.21 ×   1.06 to 1.38

accepted 69 % of the drafted tokens; by position 86 %, 74 %, 63 %, 54 %
time to first token +4 % (+1 % to +8 %)
the draft takes 1.2 GiB
12 prompts, 48 rounds in 9 min 41 s

report: /home/kim/run.html
data:   /home/kim/run.json
`);
  });

  test("has a note for a busy machine, for its end, and for each note", () => {
    const notes = describeResult(unclearReport(), { width: Infinity })
      .split("\n")
      .filter((line) => line.startsWith("note: "));
    expect(notes.map((note) => note.slice(6, 40))).toEqual([
      "The machine was busy. The servers ",
      "The time was over before the inter",
      "7 requests failed: HTTP 500 from /",
      "Prompts 3 and 17 are longer than t",
    ]);
  });

  test("says little where little is known", () => {
    const report = {
      ...payingReport(),
      rounds: [],
      byKind: {},
      verdict: { kind: "unknown", estimate: undefined, moreMs: undefined, morePrompts: undefined } as const,
      firstToken: null,
      draftBytes: null,
      acceptedByPosition: null,
      sentence: "nothing was measured",
    };
    expect(describeResult(report, { width: 80 }).split("\n").slice(7)).toEqual([
      "all        0        -         -            -",
      "",
      "12 prompts, 0 rounds in 9 min 41 s",
      "",
    ]);
  });
});

describe("a search on a terminal", () => {
  test("has what was measured, what was thrown out and why, and the files", () => {
    expect(describeTune(fruitfulTune(), { width: 100, files })).toBe(`\
glm47-spec: draft-mtp with n_max 2 and p_min 0.5 is the fastest: 1.34 × (1.29 to 1.39)

SETTING                         PREDICTED  MEASURED  95 % INTERVAL  FIRST TOKEN  RESULT
draft-mtp n_max 2 p_min 0.5     1.38 ×     1.34 ×    1.29 to 1.39   +2 %         the winner
draft-mtp n_max 3 p_min 0.75    1.35 ×     1.31 ×    1.24 to 1.38   +2 %         not faster, and it…
draft-simple n_max 5 p_min 0.5  1.18 ×     1.15 ×    1.08 to 1.22   +2 %         slower than draft-…

not tried: ngram-mod: even at 95 % acceptance it could reach 0.97 ×
not tried: draft-eagle3: the build "v0.5.0" has the type, but no EAGLE-3 model belongs to the target
120 settings computed, 3 measured; 6 loads of a server, 21 min 6 s
note: Three layers of the model are in memory and not on CUDA0.

report: /home/kim/run.html
data:   /home/kim/run.json
`);
  });

  test("without a candidate has only the reasons", () => {
    const text = describeTune(fruitlessTune(), { width: 100 });
    expect(text).not.toContain("SETTING");
    expect(text.match(/^not tried: /gm)).toHaveLength(4);
  });

  test("that was interrupted names no winner", () => {
    const report = fruitfulTune();
    const finalists = report.finalists.map((one) => ({ ...one, dropped: null, estimate: null, predicted: null }));
    const text = describeTune({ ...report, winner: null, finalists, end: "interrupted" }, { width: 120 });
    expect(text.match(/ - +- +\+2 % +not decided$/gm)).toHaveLength(3);
    expect(text).toContain("note: The measurement was interrupted; these are the results so far.\n");
  });
});

test("no line is wider than the terminal, and none has a character that controls it", () => {
  const reports = [payingReport(), losingReport(), unclearReport()];
  const searches = [fruitfulTune(), fruitlessTune()];
  fc.assert(
    fc.property(fc.integer({ min: 12, max: 200 }), (width) => {
      const texts = [
        ...reports.map((report) => describeResult(report, { width, files })),
        ...searches.map((report) => describeTune(report, { width, files })),
      ];
      for (const text of texts) {
        expect(text.split("\n").filter((line) => line.length > width)).toEqual([]);
        expect(findHostile(text)).toBeUndefined();
      }
    }),
  );
});
