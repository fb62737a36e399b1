import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { answerPath, keepAnswer, readAnswer } from "../../../../src/base/files/answer-cache.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-cache-"));
});
afterEach(() => rm(folder, { recursive: true }));

const isNumber = (value: unknown): value is number => typeof value === "number";

test("an answer is kept for its question only", async () => {
  const path = answerPath(folder, "sums", [1, 2]);
  await keepAnswer(path, 3);
  expect(await readAnswer(path, isNumber)).toBe(3);
  expect(await readAnswer(answerPath(folder, "sums", [2, 1]), isNumber)).toBeUndefined();
  expect(await readAnswer(answerPath(folder, "products", [1, 2]), isNumber)).toBeUndefined();
  expect(await readdir(dirname(path))).toHaveLength(1);
});

test("a broken answer, or one of another shape, counts as missing", async () => {
  const path = answerPath(folder, "sums", 1);
  await keepAnswer(path, "three");
  expect(await readAnswer(path, isNumber)).toBeUndefined();
  await writeFile(path, '{"half');
  expect(await readAnswer(path, isNumber)).toBeUndefined();
});

test("a folder that cannot be created stops nothing", async () => {
  await writeFile(join(folder, "sums"), "a file");
  const path = answerPath(folder, "sums", 1);
  await keepAnswer(path, 3);
  expect(await readAnswer(path, isNumber)).toBeUndefined();
});
