import { describe, expect, test } from "vitest";
import { renderTuneHtml } from "../../../../src/bench/report/render-tune-html.ts";
import type { TuneReport } from "../../../../src/bench/tune-report.ts";
import { hostileMarkup } from "../../../support/bench-reports.ts";
import { expectSoundPage } from "../../../support/expect-sound-page.ts";
import { fruitfulTune, fruitlessTune, wholeGridTune } from "../../../support/tune-reports.ts";

describe("the page of a search", () => {
  test("is whole, and the same each time", () => {
    const page = expectSoundPage(renderTuneHtml(fruitfulTune()));
    expect(page.find("h1").map(({ text }) => text)).toEqual([fruitfulTune().sentence]);
    expect(page.find("h2").map(({ text }) => text)).toEqual([
      "Measured against no drafting",
      "Predicted speedups",
      "Candidates",
      "How the search went",
      "How it was measured",
      "Raw data",
    ]);
    expect(renderTuneHtml(fruitfulTune())).toBe(renderTuneHtml(fruitfulTune()));
  });

  test("starts with the fastest setting, what was before, and what the search took", () => {
    const page = expectSoundPage(renderTuneHtml(fruitfulTune()));
    expect(
      page
        .find("dd")
        .slice(0, 6)
        .map(({ text }) => text),
    ).toEqual([
      "draft-mtp n_max 2 p_min 0.5before: type draft-simple, n_max 16",
      "1.34 ×1.29 to 1.39 with 95 % confidence",
      "+2 %± 0 % to +4 %",
      "670 MiBmodel, cache and buffers",
      "1203 measured",
      "21 min 6 s6 loads of a server12 prompts, 48 rounds",
    ]);
  });

  test("has each finalist with its prediction", () => {
    expect(expectSoundPage(renderTuneHtml(fruitfulTune())).rows("estimates")).toEqual([
      ["draft-mtp n_max 2 p_min 0.5", "", "1.34 × (1.29 to 1.39)", "12", "1.38 ×"],
      ["draft-mtp n_max 3 p_min 0.75", "", "1.31 × (1.24 to 1.38)", "12", "1.35 ×"],
      ["draft-simple n_max 5 p_min 0.5", "", "1.15 × (1.08 to 1.22)", "12", "1.18 ×"],
    ]);
  });

  test("has the grid of each candidate: a row for each p_min, a column for each n_max", () => {
    const { predicted } = fruitfulTune();
    const rows = expectSoundPage(renderTuneHtml(fruitfulTune())).rows("heat");
    expect(rows.map(([pMin, ...cells]) => [pMin, cells.length])).toEqual([
      ...["0", "0.25", "0.5", "0.75", "0.9"].map((pMin) => [pMin, 16]),
      ...["0", "0.25", "0.5", "0.75", "0.9"].map((pMin) => [pMin, 8]),
    ]);
    const cells = rows.flatMap(([, ...row]) => row.map((cell) => Number(cell.split("●")[0])));
    const byRow = predicted.toSorted(
      (a, b) => b.candidate.localeCompare(a.candidate) || a.pMin - b.pMin || a.nMax - b.nMax,
    );
    expect(cells).toEqual(byRow.map(({ ratio }) => Number(ratio.toFixed(2))));
  });

  test("marks what was measured in the grid, and frames the best cell of each candidate", () => {
    const page = expectSoundPage(renderTuneHtml(fruitfulTune()));
    expect(page.find("span", "measured").map(({ text }) => text)).toEqual(["● 1.15", "● 1.34", "● 1.31"]);
    expect(page.find("td", "best")).toHaveLength(2);
    const measured = page.find("td").flatMap(({ attributes }) => attributes["title"] ?? []);
    expect(measured).toContain("draft-mtp n_max 2 p_min 0.5: measured 1.34 × (1.29 to 1.39)");
    expect(page.find("svg").flatMap(({ attributes }) => attributes["aria-label"] ?? [])[1]).toContain(
      "Measured at n_max 2: 1.34 × (1.29 to 1.39). Measured at n_max 3: 1.31 × (1.24 to 1.38).",
    );
  });

  test("tells the shortest drafts apart where they were varied", () => {
    const report = fruitfulTune();
    const [one] = report.predicted;
    const rows = [0, 2].map((nMin) => ({ ...one, nMin, label: `n_min ${nMin}` }) as NonNullable<typeof one>);
    const page = expectSoundPage(renderTuneHtml({ ...report, predicted: rows, finalists: [] }));
    expect(page.find("caption").map(({ text }) => text)).toEqual(["n_min 0", "n_min 2"]);
    expect(page.rows("heat")).toHaveLength(2);
    expect(page.find("td", "best")).toHaveLength(1);
  });

  test("has the whole grid of a search, in small tables", () => {
    const report = wholeGridTune();
    const page = expectSoundPage(renderTuneHtml(report));
    expect(page.find("table", "dense")).toHaveLength(2);
    const cells = page.rows("heat").flatMap(([, ...row]) => row.filter((cell) => cell !== ""));
    expect(cells).toHaveLength(report.predicted.length);
  });

  test("has the candidates with what became of them, and the stages", () => {
    const rows = expectSoundPage(renderTuneHtml(fruitfulTune())).rows("plain");
    expect(rows).toContainEqual(["draft-simple", "1.90 ×", "in the race"]);
    expect(rows).toContainEqual(["ngram-mod", "0.97 ×", "even at 95 % acceptance it could reach 0.97 ×"]);
    expect(rows).toContainEqual(["trace", "5 min 10 s", "2", "draft-simple: 69 % accepted; draft-mtp: 81 % accepted"]);
    expect(rows).toContainEqual(["draft-mtp n_max 2 p_min 0.5", "+2 %", "670 MiB", "91 %, 72 %", "the winner"]);
  });

  test("folds up the commands, of which there are many", () => {
    const page = expectSoundPage(renderTuneHtml(fruitfulTune()));
    expect(page.find("summary").filter(({ text }) => text === "The command")).toHaveLength(4);
    expect(page.find("pre")).toHaveLength(4);
  });

  test("of a search without a candidate has the reasons and no empty part", () => {
    const page = expectSoundPage(renderTuneHtml(fruitlessTune()));
    expect(page.find("h2").map(({ text }) => text)).toEqual([
      "Candidates",
      "How the search went",
      "How it was measured",
    ]);
    expect(page.find("dd")[0]?.text).toBe("nonebefore: no drafting");
  });

  test("of a search that found nothing at all is a page, too", () => {
    const empty: Partial<TuneReport> = {
      candidates: [],
      stages: [],
      baseline: null,
      winner: null,
      prompts: [],
      loads: 0,
    };
    const page = expectSoundPage(renderTuneHtml({ ...fruitlessTune(), ...empty, end: "interrupted" }));
    expect(page.find("h2").map(({ text }) => text)).toEqual(["How it was measured"]);
    expect(page.find("dd")[0]?.text).toBe("not knownbefore: no drafting");
  });

  test("takes all text for text", () => {
    const report = fruitfulTune();
    const [evil = "", worse = "", third = ""] = hostileMarkup;
    const page = expectSoundPage(
      renderTuneHtml({
        ...report,
        profile: evil,
        winner: evil,
        draftBefore: { [evil]: worse },
        candidates: report.candidates.map((one) => ({ ...one, label: `${one.label} ${evil}`, thrownOut: worse })),
        predicted: report.predicted.map((one) => ({ ...one, candidate: `${one.candidate} ${evil}`, label: third })),
        stages: report.stages.map((stage) => ({ ...stage, found: third })),
        notes: [evil, worse, third],
      }),
    );
    expect(page.find("h3").map(({ text }) => text)).toContain(`draft-mtp ${evil}`);
    expect(page.find("li").map(({ text }) => text)).toEqual([evil, worse, third]);
  });

  test.each([0.01, 50])("shows a ratio of %d", (ratio) => {
    const report = fruitfulTune();
    const predicted = report.predicted.map((one, index) => (index === 3 ? { ...one, ratio } : one));
    expectSoundPage(renderTuneHtml({ ...report, predicted }));
  });
});
