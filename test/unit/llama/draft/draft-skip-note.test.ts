import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findSkippedDraft, noteSkippedDraft } from "../../../../src/llama/draft/draft-skip-note.ts";
import { ProfileFolder } from "../../../support/profile-folder.ts";

type Pair = Parameters<typeof findSkippedDraft>[1];

const onHub: Pair = {
  targetFiles: [
    { path: "/m/t-1.gguf", sizeBytes: 10 },
    { path: "/m/t-2.gguf", sizeBytes: 20 },
  ],
  draft: { hf: "a/b", quant: "Q4_K_M", file: "b.gguf", revision: "main" },
  type: "draft-simple",
  rule: "strict",
};
const byUrl: Pair = { ...onHub, draft: { url: "https://h/d.gguf", sha256: "a".repeat(64) } };

const others = (pair: Pair, drafts: readonly Pair["draft"][]): Pair[] => [
  { ...pair, targetFiles: pair.targetFiles.slice(0, 1) },
  { ...pair, targetFiles: pair.targetFiles.map(({ path }) => ({ path, sizeBytes: 11 })) },
  { ...pair, targetFiles: pair.targetFiles.map(({ sizeBytes }) => ({ path: "/m/other.gguf", sizeBytes })) },
  ...drafts.map((draft) => ({ ...pair, draft })),
  { ...pair, type: "draft-eagle3" },
  { ...pair, rule: "translate" },
];

test.each<[string, Pair, Pair[]]>([
  [
    "on the Hub",
    onHub,
    others(
      onHub,
      [{ hf: "a/c" }, { quant: "Q8_0" }, { file: "c.gguf" }, { revision: "dev" }].map((change) => ({
        hf: "a/b",
        quant: "Q4_K_M",
        file: "b.gguf",
        revision: "main",
        ...change,
      })),
    ),
  ],
  [
    "at an address",
    byUrl,
    others(byUrl, [
      { url: "https://h/e.gguf", sha256: "a".repeat(64) },
      { url: "https://h/d.gguf", sha256: "b".repeat(64) },
    ]),
  ],
])("the reason why a draft %s was not fetched is found for this pair alone", async (_, pair, changed) => {
  await using folder = await ProfileFolder.create({});
  expect(await findSkippedDraft(folder.cwd, pair)).toBeUndefined();
  await noteSkippedDraft(folder.cwd, pair, "the vocabularies differ");
  expect(await findSkippedDraft(folder.cwd, { ...pair })).toBe("the vocabularies differ");
  for (const other of changed) expect(await findSkippedDraft(folder.cwd, other)).toBeUndefined();
});

test("a note is one line of JSON, and a later one takes its place", async () => {
  await using folder = await ProfileFolder.create({});
  await noteSkippedDraft(folder.cwd, onHub, "first");
  await noteSkippedDraft(folder.cwd, onHub, "second");
  const notes = join(folder.cwd, "skipped-drafts");
  const [name = "", ...more] = await readdir(notes);
  expect(more).toEqual([]);
  expect(await readFile(join(notes, name), "utf8")).toBe('{"reason":"second"}\n');
});

test.each([
  ["", false],
  ["{}", false],
  ['{"reason":7}', false],
  ['{"reason":""}', false],
  [JSON.stringify({ reason: "x".repeat(4001) }), false],
  [JSON.stringify({ reason: "x".repeat(4000) }), true],
])("a damaged note counts as none (%#)", async (text, isUsable) => {
  await using folder = await ProfileFolder.create({});
  await noteSkippedDraft(folder.cwd, onHub, "first");
  const [name = ""] = await readdir(join(folder.cwd, "skipped-drafts"));
  await writeFile(join(folder.cwd, "skipped-drafts", name), text);
  expect((await findSkippedDraft(folder.cwd, onHub)) !== undefined).toBe(isUsable);
});
