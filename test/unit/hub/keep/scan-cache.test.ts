import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { scanUrlFolder } from "../../../../src/hub/keep/scan-cache.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-scan-"));
});
afterEach(() => rm(folder, { recursive: true }));

test("a name that claims 99,999 shards costs one look, and the number of missing shards is reported", async () => {
  const names = Array.from({ length: 300 }, (_, i) => `m${i}-00001-of-99999.gguf`);
  await Promise.all(names.map((name) => writeFile(join(folder, name), "GGUF")));
  const models = await scanUrlFolder(folder);
  expect(models.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
  expect(new Set(models.map(({ missing }) => missing))).toEqual(new Set([99_998]));
});

test("shards of a set are one model, in order, and later ones are found without the first", async () => {
  for (const name of ["a-00003-of-00003.gguf", "a-00002-of-00003.gguf", "b.gguf"])
    await writeFile(join(folder, name), "GGUF");
  const models = await scanUrlFolder(folder);
  expect(models.map(({ name, missing, shards }) => [name, missing, shards.length])).toEqual([
    ["a-00001-of-00003.gguf", 1, 2],
    ["b.gguf", 0, 1],
  ]);
});

test("a folder with a file's name is not a file", async () => {
  await mkdir(join(folder, "m.gguf"));
  expect(await scanUrlFolder(folder)).toEqual([]);
});
