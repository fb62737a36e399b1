import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { JsonReporter, TerminalReporter } from "../../../../src/cli/screen/pull-reporter.ts";
import type { ModelEvent } from "../../../../src/models/model-event.ts";

const bytes = (doneBytes: number, file = "a.gguf"): ModelEvent => ({
  kind: "bytes",
  model: "m",
  file,
  doneBytes,
  sizeBytes: 100,
});
const notFetched = { model: "hf:a/b", profile: "p", reason: "the vocabularies differ", sizeBytes: 2000 };

describe("events as JSON", () => {
  const reportAt = (events: readonly (readonly [atMs: number, event: ModelEvent])[]): unknown[] => {
    const lines: string[] = [];
    let nowMs = 0;
    const reporter = new JsonReporter(
      (line) => void lines.push(line),
      () => nowMs,
    );
    for (const [atMs, event] of events) {
      nowMs = atMs;
      reporter.show(event);
    }
    return lines;
  };

  test("begin with the event and the model", () => {
    expect(reportAt([[0, { kind: "waiting", model: "m", file: "a.gguf" }]])).toEqual([
      '{"event":"waiting","model":"m","file":"a.gguf"}\n',
    ]);
    expect(reportAt([[0, { kind: "not-fetched", ...notFetched }]])).toEqual([
      '{"event":"not-fetched","model":"hf:a/b","profile":"p","reason":"the vocabularies differ","sizeBytes":2000}\n',
    ]);
  });

  test("have a line for each model of a plan", () => {
    const files = { shards: [{ path: "/a.gguf", sizeBytes: 1 }], source: "local file" };
    const plans = [{ model: "m", plan: { kind: "complete", files } as const }];
    const [line] = reportAt([[0, { kind: "fetch-plan", plans }]]);
    expect(JSON.parse(String(line))).toEqual({
      event: "plan",
      model: "m",
      missingBytes: 0,
      files: [{ path: "/a.gguf", sizeBytes: 1 }],
      source: "local file",
    });
  });

  test("report a file's bytes at most twice a second, and always its end", () => {
    const told = reportAt([
      [0, bytes(10)],
      [499, bytes(20)],
      [499, bytes(20, "b.gguf")],
      [500, bytes(30)],
      [501, bytes(100)],
    ]);
    expect(told.map((line) => (JSON.parse(String(line)) as { doneBytes: number }).doneBytes)).toEqual([
      10, 20, 30, 100,
    ]);
  });
});

describe("events for people", () => {
  const report = (...events: ModelEvent[]): { readonly text: string; readonly stages: readonly string[] } => {
    const stream = new PassThrough() as PassThrough & NodeJS.WriteStream;
    const stages: string[] = [];
    const reporter = new TerminalReporter(stream, (stage) => void stages.push(stage));
    for (const event of events) reporter.show(event);
    reporter.clear();
    return { text: String(stream.read() ?? ""), stages };
  };

  test("are permanent lines, with a heading before each kind of work", () => {
    const { text, stages } = report(
      { kind: "fetch-plan", plans: [] },
      { kind: "file-done", model: "m", file: "a.gguf", sizeBytes: 100, verified: true },
      { kind: "verify-plan", files: [] },
      { kind: "not-fetched", ...notFetched },
    );
    expect(text).toBe(
      "a.gguf  100 B, verified\n" +
        'hf:a/b: not fetched (2.0 kB), "p" will serve without drafting: the vocabularies differ\n',
    );
    expect(stages).toEqual(["fetching models", "verifying models"]);
  });

  test("leave the result of verifying to the command", () => {
    const result = { model: "m", sizeBytes: 100, outcome: "right", problems: [] } as const;
    expect(report({ kind: "verify-result", ...result }).text).toBe("");
  });
});
