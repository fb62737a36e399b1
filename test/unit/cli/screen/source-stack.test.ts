import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { mapStack } from "../../../../src/cli/screen/source-stack.ts";
import { checkout } from "../../../support/checkout.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-stack-"));
});
afterEach(() => rm(folder, { recursive: true }));

const stack = () => `Error: no\n    at go (${pathToFileURL(join(folder, "main.js")).href}:1:5)\n    at node:fs:1:1`;

test("a place in the bundle becomes the place in the sources", async () => {
  const sources = [join(checkout, "src/cli/program.ts")];
  // Line 1, column 1 is line 3, column 3 of the source.
  await writeFile(join(folder, "main.js.map"), JSON.stringify({ version: 3, sources, names: [], mappings: "AAEE" }));
  expect(mapStack(stack())).toMatch(/^Error: no\n    at go \(src\/cli\/program\.ts:3:\d+\)\n    at node:fs:1:1$/);
});

test.each([undefined, "", "{}", "[", "null"])("a stack stays as it is where the map is %j", async (map) => {
  if (map !== undefined) await writeFile(join(folder, "main.js.map"), map);
  expect(mapStack(stack())).toBe(stack());
});
