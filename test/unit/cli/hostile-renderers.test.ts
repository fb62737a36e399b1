import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatFinding } from "../../../src/cli/look/check-report.ts";
import { describeFlags } from "../../../src/cli/look/flags.ts";
import { formatModel } from "../../../src/cli/look/inspect.ts";
import { jsonLine, jsonText } from "../../../src/cli/screen/json-text.ts";
import { describeDiff } from "../../../src/cli/look/plan-diff.ts";
import { formatProgress } from "../../../src/cli/screen/progress.ts";
import { JsonReporter } from "../../../src/cli/screen/pull-reporter.ts";
import { formatProblem } from "../../../src/cli/screen/report-error.ts";
import { quoteLogLine } from "../../../src/supervisor/log/last-log-lines.ts";
import { formatTable } from "../../../src/base/text/table.ts";
import { createNotifier } from "../../../src/services/notify.ts";
import { toLine } from "../../../src/supervisor/log/event-log.ts";
import { modelFrom, modelKeys } from "../../support/gguf-builder.ts";
import { findHostile, hostileName, hostileText } from "../../support/hostile-text.ts";
import { checkout } from "../../support/checkout.ts";

function expectPrintable(text: string, lines?: number): void {
  expect(findHostile(text)).toBeUndefined();
  if (lines !== undefined) expect(text.split("\n")).toHaveLength(lines);
}

describe("no foreign text adds an escape sequence or a line", () => {
  const runs = { numRuns: 300 };

  test("in errors and findings", () => {
    fc.assert(
      fc.property(hostileText, hostileText, hostileText, (message, at, fix) => {
        expectPrintable(formatProblem({ message, at, fix }), 3);
        expectPrintable(formatProblem({ message, at, fix: { run: [fix, at], before: fix, or: message } }), 3);
        expectPrintable(formatFinding({ rank: "warning", code: "x", message, at, fix }), 4);
      }),
      runs,
    );
  });

  test("in tables", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(hostileText, hostileText)), (rows) => {
        expectPrintable(formatTable(["A", "B"], rows, Infinity), rows.length + 2);
      }),
      runs,
    );
  });

  test("in the differences of a command", () => {
    fc.assert(
      fc.property(hostileText, hostileText, (one, other) => {
        const diff = {
          removed: [[one, other]],
          added: [[other]],
          file: { from: one, to: other },
          otherSettings: false,
        };
        expectPrintable(describeDiff("p", diff), 6);
      }),
      runs,
    );
  });

  test("in a build's description of its flags", () => {
    fc.assert(
      fc.property(hostileText, hostileText, (one, other) => {
        const flag = {
          names: [one],
          negations: [],
          hints: [other],
          section: one,
          help: other,
          default: one,
          env: other,
          key: undefined,
        };
        expectPrintable(describeFlags(one, [flag], true), 5);
        expectPrintable(describeFlags(one, [{ ...flag, choices: [one, other] }], false));
      }),
      runs,
    );
  });

  test("in progress, log lines, events and messages to systemd", async () => {
    const sent: string[] = [];
    const notifier = createNotifier(
      { NOTIFY_SOCKET: "/x" },
      { onFailure: (error) => sent.push(error.message), send: async (fields) => void sent.push(...fields) },
    );
    await fc.assert(
      fc.asyncProperty(hostileText, async (text) => {
        expectPrintable(formatProgress({ label: text, unit: String, done: 1, total: 2, perSecond: 1 }), 1);
        expectPrintable(quoteLogLine(text.replaceAll("\n", "")), 2);
        expectPrintable(toLine(text), 1);
        notifier.status(text);
        await notifier.flush();
      }),
      runs,
    );
    expect(sent.length).toBeGreaterThan(0);
    for (const field of sent) expectPrintable(field, 1);
  });

  test("in JSON, whose values are exact", () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        const lines: string[] = [];
        new JsonReporter((line) => lines.push(line)).show({ kind: "retry", model: text, reason: text, delayMs: 1 });
        for (const json of [jsonText({ text }), jsonLine({ text }), ...lines]) expectPrintable(json);
        expect(JSON.parse(jsonLine({ [text]: text }))).toEqual({ [text]: text });
        expect(JSON.parse(lines[0] ?? "")).toMatchObject({ model: text, reason: text });
      }),
      runs,
    );
  });
});

test("a model's own texts add neither escape sequences nor lines", async () => {
  const hostile = `${hostileName}\nfile  forged`;
  const metadata = modelKeys({
    "general.name": hostile,
    "general.architecture": hostile,
    "tokenizer.ggml.model": hostile,
    "tokenizer.ggml.pre": hostile,
    "tokenizer.ggml.tokens": [hostile, hostile],
    "tokenizer.chat_template": hostile,
  });
  const text = formatModel(await modelFrom({ metadata, tensors: [{ name: hostile, ne: [2] }] }, `${hostile}.gguf`));
  expectPrintable(text);
  expect(text.match(/^file/gm)).toHaveLength(1);
  expect(text).toContain(String.raw`\x1b[31;8m`);
});

test("a name of megabytes is shown in part", async () => {
  const text = formatModel(await modelFrom({ metadata: modelKeys({ "general.name": "x".repeat(1e6) }) }));
  expect(text.length).toBeLessThan(10_000);
});

test("commands never call JSON.stringify: json-text.ts escapes control characters", () => {
  const folder = join(checkout, "src/cli");
  // It talks to another process.
  const others = ["detached.ts"];
  const sources = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  const own = sources.filter((name) => !others.includes(basename(name)));
  const found = own.filter((name) => readFileSync(join(folder, name), "utf8").includes("JSON.stringify("));
  expect(found).toEqual([]);
});
