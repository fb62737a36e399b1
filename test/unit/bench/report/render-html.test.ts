import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { BenchReport } from "../../../../src/bench/bench-report.ts";
import { isMeasured } from "../../../../src/bench/measurement.ts";
import { renderHtml } from "../../../../src/bench/report/render-html.ts";
import {
  hostileMarkup,
  losingReport,
  makeReport,
  payingReport,
  unclearReport,
} from "../../../support/bench-reports.ts";
import { expectSoundPage } from "../../../support/expect-sound-page.ts";
import { hostileText } from "../../../support/hostile-text.ts";

describe("a page", () => {
  test.each([
    ["pays", payingReport()],
    ["loses", losingReport()],
    ["shows nothing", unclearReport()],
  ])("of a report that %s is whole, and the same each time", (_, report) => {
    const page = expectSoundPage(renderHtml(report));
    expect(page.find("h1").map(({ text }) => text)).toEqual([report.sentence]);
    expect(renderHtml(structuredClone(report))).toBe(renderHtml(report));
  });

  test("starts with the sentence and the numbers that most people look for", () => {
    const page = expectSoundPage(renderHtml(payingReport()));
    const figures = page
      .find("dt")
      .slice(0, 6)
      .map(({ text }, index) => [text, page.find("dd")[index]?.text]);
    expect(figures).toEqual([
      ["speedup", "1.21 ×1.06 to 1.38 with 95 % confidence"],
      ["tokens a second", "37.8 → 45.7geometric mean over the prompts"],
      ["accepted", "69 %4\u202f402 of 6\u202f353 drafted tokens"],
      ["time to first token", "+4 %+1 % to +8 %median 246.8 → 255.8 ms"],
      ["memory of the draft", "1.2 GiBmodel, cache and buffers"],
      ["measured", "9 min 41 s12 prompts, 48 rounds"],
    ]);
  });

  test("shows the speedup over all prompts and over each kind", () => {
    expect(expectSoundPage(renderHtml(payingReport())).rows("estimates")).toEqual([
      ["all prompts", "", "1.21 × (1.06 to 1.38)", "12"],
      ["code", "", "1.56 × (1.49 to 1.64)", "3"],
      ["rewrite", "", "1.38 × (1.35 to 1.41)", "3"],
      ["prose", "", "0.89 × (0.85 to 0.93)", "3"],
      ["questions", "", "1.11 × (1.08 to 1.14)", "3"],
    ]);
  });

  test("shows each prompt under its kind, with both speeds and what drafting made of it", () => {
    const report = payingReport();
    const page = expectSoundPage(renderHtml(report));
    const rows = page.rows("lanes").filter((row) => row.length === 5 && /^[\d.]+$/.test(row[2] ?? ""));
    expect(rows.map(([excerpt]) => excerpt)).toEqual(report.prompts.map(({ excerpt }) => excerpt));
    expect(rows[0]?.slice(2)).toEqual(["36.1", "55.7", "1.54 ×"]);
    const titles = page.find("th", "name").flatMap(({ attributes }) => attributes["title"] ?? []);
    for (const { excerpt } of report.prompts) expect(titles).toContain(excerpt);
    const groups = page.find("tr", "group").map(({ text }) => text);
    expect(groups[2]).toBe("prose3 prompts, 0.89 × (0.85 to 0.93)");
  });

  test("marks a prompt that got slower in another colour than one that got faster", () => {
    const html = renderHtml(payingReport());
    expect(html).toContain('<span class="down">0.88 ×</span>');
    expect(html).toContain('<span class="up">1.54 ×</span>');
  });

  test("shows acceptance, prediction and costs as tables beside their drawings", () => {
    const report = payingReport();
    const page = expectSoundPage(renderHtml(report));
    expect(page.rows("positions").map((row) => row.filter((cell) => cell !== ""))).toEqual([
      ["1", "86 %", "86 %"],
      ["2", "74 %", "86 %"],
      ["3", "63 %", "85 %"],
      ["4", "54 %", "86 %"],
    ]);
    const [predicted, costs] = [page.rows("data").slice(0, 16), page.rows("data").slice(16)];
    expect(predicted.map(([nMax]) => nMax)).toEqual(report.predicted?.map(({ nMax }) => String(nMax)));
    expect(predicted[3]).toEqual(["4", "1.21 ×", "1.21 × (1.06 to 1.38)"]);
    expect(costs[0]).toEqual(["1", "26.1", "1.00 ×", "9.5"]);
    expect(costs[8]).toEqual(["9", "37.4", "1.43 ×", "14.4"]);
    expect(page.find("svg").flatMap(({ attributes }) => attributes["aria-label"] ?? [])).toEqual([
      "Predicted speedup by longest draft. Best predicted: 1.21 × at n_max 4. " +
        "Measured at n_max 4: 1.21 × (1.06 to 1.38).",
      "A batch of 9 tokens costs the target model 1.43 × as much as one token.",
    ]);
  });

  test("has the commands, files, build and machine", () => {
    const report = payingReport();
    const page = expectSoundPage(renderHtml(report));
    const [none] = page.find("pre").map(({ text }) => text);
    expect(none?.split(" \\\n  ").slice(0, 3)).toEqual([
      report.settings[0].command.file,
      `--model ${report.settings[0].files[0]?.path}`,
      "--host 127.0.0.1",
    ]);
    expect(page.rows("plain")).toEqual([
      [report.settings[0].files[0]?.path, "49.8 GB", report.settings[0].files[0]?.sha256, "all"],
      [report.settings[1].files[1]?.path, "1.3 GB", "not known", "profile"],
    ]);
    for (const text of [report.build, report.machine.processor, report.machine.system, ...report.machine.devices]) {
      expect(page.text).toContain(text);
    }
    expect(page.text).toContain("type draft-simple, model /srv/models/GLM-4.5-Air-UD-Q2_K_XL.gguf, n_max 4");
    expect(page.text).toContain("loaded in 53.9 s");
  });

  test("has every measurement of every round", () => {
    const report = unclearReport();
    const rows = expectSoundPage(renderHtml(report)).rows("raw");
    const expected = report.rounds.flatMap(({ promptId, pass, order, results, waitShare, at }) =>
      order.map((label) => {
        const result = results[label];
        const numbers = isMeasured(result)
          ? [result.tokens, result.generateMs, result.cpuMs, result.promptTokens, result.firstTokenMs]
          : [];
        const drafts = isMeasured(result) ? [result.draftTokens, result.acceptedTokens] : [];
        const cells = isMeasured(result) ? [...numbers, ...drafts] : ["failed: HTTP 500: <h1>Internal error</h1>"];
        return [promptId, pass, label, ...cells, (waitShare ?? 0) * 100, at];
      }),
    );
    const close = (cell: string, value: unknown) =>
      typeof value === "number"
        ? Math.abs(Number.parseFloat(cell.replace("\u202f", "")) - value) <= 0.5
        : cell === value;
    expect(rows.length).toBe(expected.length);
    expect(expected.filter((row, at) => !row.every((value, cell) => close(rows[at]?.[cell] ?? "", value)))).toEqual([]);
  });

  test("warns of a busy machine, and says why it ended and what limits it", () => {
    const busy = expectSoundPage(renderHtml(unclearReport()));
    expect(busy.find("div", "warning").map(({ text }) => text)).toEqual([
      "The machine was busy. The servers waited for a processor for 42 % of the time. Wall-clock time was compared, " +
        "so the speeds would be higher on a quiet machine.",
    ]);
    expect(busy.find("li").map(({ text }) => text.slice(0, 40))).toEqual([
      "The time was over before the interval wa",
      "7 requests failed: HTTP 500 from /srv/n\\",
      "Prompts 3 and 17 are longer than the con",
    ]);
    const quiet = expectSoundPage(renderHtml(payingReport()));
    expect([...quiet.find("div", "warning"), ...quiet.find("li")]).toEqual([]);
  });

  test("says which prompts were not measured on both, and how often a request failed", () => {
    const report = payingReport();
    const [first, second] = report.prompts;
    const rounds = report.rounds.map((round) =>
      round.promptId === first?.id ? { ...round, results: { ...round.results, profile: { error: "gone" } } } : round,
    );
    const page = expectSoundPage(
      renderHtml({ ...report, rounds: rounds.filter((one) => one.promptId !== second?.id) }),
    );
    expect(page.rows("lanes").filter((row) => row.length === 2)).toEqual([
      [first?.excerpt, "not measured on both: 4 failed requests"],
      [second?.excerpt, "not measured on both"],
    ]);
  });
});

describe("hostile text", () => {
  test("stays text", () => {
    const page = expectSoundPage(renderHtml(unclearReport()));
    const excerpts = page.find("th", "name").map(({ text }) => text);
    for (const [index, text] of hostileMarkup.entries()) expect(excerpts).toContain(`${text} ${index}`);
    expect(page.text).toContain(String.raw`$'it\'s "$(id)" <b> \u202e'`);
  });

  test("stays text wherever it stands", () => {
    const texts = fc.oneof(hostileText, fc.constantFrom(...hostileMarkup));
    const values = fc.tuple(...Array.from({ length: 9 }, () => texts));
    fc.assert(
      fc.property(values, (own) => {
        const [
          label = "",
          kind = "",
          excerpt = "",
          path = "",
          build = "",
          note = "",
          sentence = "",
          key = "",
          arg = "",
        ] = own;
        const report = payingReport();
        const setting = { ...report.settings[1], label: `${label}!`, draft: { [key]: arg, list: [arg] } };
        const [prompt] = report.prompts;
        const page = expectSoundPage(
          renderHtml({
            ...report,
            build,
            sentence,
            notes: [note],
            profile: key,
            machine: { ...report.machine, processor: note, devices: [path], system: arg },
            settings: [
              report.settings[0],
              {
                ...setting,
                command: { file: path, args: [arg, key] },
                files: [{ path, sizeBytes: 1, sha256: build }],
              },
            ],
            prompts: [{ id: prompt?.id ?? "", kind, excerpt }],
            byKind: Object.fromEntries([[kind, { ratio: 1, low: 0.9, high: 1.1, prompts: 1 }]]),
          }),
        );
        expect(page.find("li")).toHaveLength(1);
      }),
      { numRuns: 40 },
    );
  });
});

describe("extreme reports", () => {
  const situation = {
    kinds: [{ name: "code", excerpts: ["one"], speedup: 1.2 }],
    passes: 1,
    msPerToken: 30,
    noise: 0.01,
    acceptedByPosition: [0.5],
    seed: 4,
  };

  const nothingShown = { kind: "unknown", estimate: undefined, moreMs: undefined, morePrompts: undefined } as const;

  test("one prompt in one round", () => {
    const page = expectSoundPage(renderHtml(makeReport(situation)));
    expect(page.find("details").map(({ text }) => text)[2]).toContain("1 round");
  });

  test("500 prompts are folded up", () => {
    const excerpts = Array.from({ length: 500 }, (_, index) => `prompt ${index}`);
    const kinds = [{ name: "own", excerpts, speedup: 0.9 }];
    const page = expectSoundPage(renderHtml(makeReport({ ...situation, kinds })));
    expect(page.find("summary").map(({ text }) => text)).toContain("All 500 prompts");
    expect(page.find("th", "name").filter(({ text }) => text.startsWith("prompt "))).toHaveLength(500);
  });

  test("nothing was measured, and nothing is known", () => {
    const nothing: Partial<BenchReport> = {
      rounds: [],
      verdict: nothingShown,
      sentence: "nothing was measured",
      byKind: {},
      firstToken: null,
      draftBytes: null,
      acceptedByPosition: null,
      costs: null,
      predicted: null,
      waitShare: null,
      end: "server-died",
    };
    const page = expectSoundPage(renderHtml(makeReport(situation, nothing)));
    expect(page.find("h2").map(({ text }) => text)).toEqual(["Speedup", "Speed of each prompt", "How it was measured"]);
    expect(page.rows("lanes").map((row) => row.at(-1))).toEqual([
      "not measured on both",
      "code1 prompt",
      "not measured on both",
    ]);
  });

  test("lists that are empty, and costs of nothing", () => {
    const empty: Partial<BenchReport> = {
      prompts: [],
      rounds: [],
      verdict: nothingShown,
      byKind: {},
      acceptedByPosition: [],
      predicted: [],
      sentence: "nothing was measured",
      costs: { target: [0, 0], draft: [] },
    };
    expectSoundPage(renderHtml(makeReport(situation, empty)));
  });

  test.each([0.01, 50])("a ratio of %d stands inside the drawing", (ratio) => {
    const estimate = { ratio, low: ratio / 3, high: ratio * 3, prompts: 1 };
    const report = makeReport(situation, {
      verdict: { kind: ratio > 1 ? "pays" : "loses", estimate },
      byKind: { code: estimate },
      predicted: [{ nMax: 1, ratio }],
      acceptedByPosition: [0, 0],
    });
    const page = expectSoundPage(renderHtml(report));
    expect(page.rows("estimates")[0]?.[2]).toBe(ratio > 1 ? "50.0 × (16.7 to 150)" : "0.010 × (0.0033 to 0.030)");
  });
});
