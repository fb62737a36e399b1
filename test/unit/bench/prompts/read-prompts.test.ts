import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parsePrompts, readPrompts, readShortPrompts } from "../../../../src/bench/prompts/read-prompts.ts";
import { thrownBy } from "../../../support/thrown-by.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-prompts-"));
});
afterEach(() => rm(folder, { recursive: true }));

const line = (content: string) => JSON.stringify({ messages: [{ role: "user", content }] });
const excerpts = (text: string, path = "p.txt") => parsePrompts(text, path).prompts.map(({ excerpt }) => excerpt);

describe("text", () => {
  test("without a separator is one prompt a line", () => {
    expect(excerpts("one\n\n  two \r\nthree")).toEqual(["one", "two", "three"]);
  });

  test("with separators has prompts of several lines", () => {
    const { prompts } = parsePrompts("one\ntwo\n---\n\n three\n\nfour\n--- \n---\nfive\n", "p.txt");
    expect(prompts.map(({ body }) => body)).toEqual(
      ["one\ntwo", "three\n\nfour", "five"].map((content) => ({ messages: [{ role: "user", content }] })),
    );
  });
});

describe("JSON Lines", () => {
  test.each(["p.jsonl", "p.ndjson", "p.JSONL", "p.txt"])("are known in %s", (path) => {
    expect(excerpts(`\n${line("one")}\n\n${line("two")}\n`, path)).toEqual(["one", "two"]);
  });

  test("with wrong lines are an error that names each", () => {
    const text = [line("one"), "{", "", '{"prompt":7}', line("two"), "[]"].join("\n");
    expect(thrownBy(() => parsePrompts(text, "/p.jsonl"))).toMatchObject({
      code: "prompts-invalid",
      exit: "missingFile",
      problems: [
        {
          message: "the line is not a JSON object",
          at: "/p.jsonl:2",
          fix: expect.stringContaining('{"messages"') as string,
        },
        { message: '"prompt" must be a text that is not empty', at: "/p.jsonl:4" },
        { message: "the line is not a JSON object", at: "/p.jsonl:6" },
      ],
    });
  });

  test("that are all wrong are an error of at most 21 problems", () => {
    const { problems } = thrownBy(() => parsePrompts("{\n".repeat(100), "/p.jsonl")) as { problems: unknown[] };
    expect(problems).toHaveLength(21);
    expect(problems.at(-1)).toEqual({ message: "80 more lines are wrong" });
  });

  test("of exactly 20 wrong lines name all of them", () => {
    const { problems } = thrownBy(() => parsePrompts("{\n".repeat(20), "/p.jsonl")) as { problems: unknown[] };
    expect(problems).toHaveLength(20);
    expect(problems.at(-1)).toEqual({ message: "the line is not a JSON object", at: "/p.jsonl:20" });
  });

  test("with keys that the measurement sets are read, with a note", () => {
    const text = `{"prompt":"a","stream":true}\n{"prompt":"b","stream":true,"model":"x"}`;
    expect(parsePrompts(text, "/a/p.jsonl")).toMatchObject({
      prompts: [{ body: { prompt: "a" } }, { body: { prompt: "b" } }],
      notes: [
        '"stream" of p.jsonl is left out: the measurement sets it itself',
        '"model" of p.jsonl is left out: the measurement sets it itself',
      ],
    });
  });
});

test("a prompt that occurs again is left out with a note, also with other settings", () => {
  const text = ['{"prompt":"a"}', '{"prompt":"b"}', '{"prompt":"a","temperature":0}', '{"prompt":"b"}'].join("\n");
  expect(parsePrompts(text, "p.jsonl")).toMatchObject({
    prompts: [{ body: { prompt: "a" } }, { body: { prompt: "b" } }],
    notes: ["prompts that occur again are left out: line 3 repeats line 1, line 4 repeats line 2"],
  });
});

test("a text and a chat of the same words are two prompts", () => {
  expect(parsePrompts(`{"prompt":"a"}\n${line("a")}`, "p.jsonl")).toMatchObject({ prompts: [{}, {}], notes: [] });
});

test.each(["", "\n \n", "---\n---\n"])("a file with %j has no prompts", (text) => {
  expect(thrownBy(() => parsePrompts(text, "/p.txt"))).toMatchObject({
    code: "no-prompts",
    exit: "missingFile",
    at: "/p.txt",
  });
});

test("more than 10,000 prompts are refused", () => {
  const text = Array.from({ length: 10_001 }, (_, index) => `${index}`).join("\n");
  expect(thrownBy(() => parsePrompts(text, "/p.txt"))).toMatchObject({
    code: "prompts-unreadable",
    message: "cannot read the prompts: it has 10001 prompts, and 10000 are the most",
  });
});

describe("a file", () => {
  test("with a byte order mark is read", async () => {
    await writeFile(join(folder, "p"), `\ufeff${line("one")}`);
    expect((await readPrompts(join(folder, "p"))).prompts).toMatchObject([{ excerpt: "one" }]);
  });

  test.each<[string, string | Buffer | undefined, string]>([
    ["that is missing", undefined, "there is no such file"],
    ["in Latin-1", Buffer.from("caf\xe9", "latin1"), "it is not a text in UTF-8"],
    ["in UTF-16", Buffer.from("hello", "utf16le"), "it is not a text in UTF-8"],
  ])("%s is refused", async (_, content, why) => {
    const path = join(folder, "p");
    if (content !== undefined) await writeFile(path, content);
    await expect(readPrompts(path)).rejects.toMatchObject({
      code: "prompts-unreadable",
      exit: "missingFile",
      message: `cannot read the prompts: ${why}`,
      at: path,
    });
  });

  test("that is a folder, or endless, is refused", async () => {
    for (const path of [folder, "/dev/zero"])
      await expect(readPrompts(path)).rejects.toMatchObject({
        code: "prompts-unreadable",
        message: "cannot read the prompts: it is not a file, or larger than 67.1 MB",
      });
  });
});

describe("the shipped prompts", () => {
  test("are as many of each kind, and turn through the kinds", async () => {
    const { prompts, notes } = await readPrompts(undefined);
    const kinds = ["code", "prose", "rewrite", "questions"];
    expect(prompts.map(({ kind }) => kind)).toEqual([...kinds, ...kinds, ...kinds, ...kinds]);
    expect(notes).toEqual([]);
  });

  test("for rewriting give 25 lines or more, and nothing else is long", async () => {
    const { prompts } = await readPrompts(undefined);
    for (const { kind, body } of prompts) {
      const [{ content }] = body["messages"] as [{ content: string }];
      expect(content.split("\n").length >= 25).toBe(kind === "rewrite");
      expect(content.length).toBeLessThan(2000);
    }
  });

  test("that are short have one line, and none is among the others", async () => {
    const short = await readShortPrompts();
    const { prompts } = await readPrompts(undefined);
    expect(short.length).toBeGreaterThanOrEqual(20);
    for (const { excerpt } of short) expect(excerpt.endsWith("…")).toBe(false);
    expect(new Set([...prompts, ...short].map(({ id }) => id)).size).toBe(prompts.length + short.length);
  });
});
