import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LazyImport } from "../../../src/base/lazy-import.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-late-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** As llmctl's own files are while npm replaces them. */
function lateImport(): LazyImport<{ readonly value: number }> {
  const url = pathToFileURL(join(folder, "module.mjs")).href;
  return new LazyImport(
    () => import(/* @vite-ignore */ url) as Promise<{ readonly value: number }>,
    () => url,
  );
}

test.each([
  ["a file that is not there", undefined],
  ["half a file", "export const value = ("],
  ["a file whose own import is missing", 'import "./gone.mjs"; export const value = 1;'],
])("%s is tried again, and one that has come is loaded once", async (_, text) => {
  const module = lateImport();
  if (text !== undefined) await writeFile(join(folder, "module.mjs"), text);
  for (let tries = 0; tries < 2; tries += 1) await expect(module.get()).rejects.toBeInstanceOf(Error);
  await writeFile(join(folder, "module.mjs"), "export const value = {};");
  const { value } = await module.get();
  expect((await module.get()).value).toBe(value);
});
