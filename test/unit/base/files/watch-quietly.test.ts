import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { watchQuietly } from "../../../../src/base/files/watch-quietly.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmctl-quiet-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("reports changes", async () => {
  const path = join(folder, "file");
  writeFileSync(path, "");
  const changed = await new Promise<boolean>((resolve) => {
    const watch = watchQuietly(path, () => {
      watch.close();
      resolve(true);
    });
    appendFileSync(path, "x");
  });
  expect(changed).toBe(true);
});

test("reports nothing for a missing file", () => {
  const watch = watchQuietly(join(folder, "none"), () => undefined);
  expect(() => watch.close()).not.toThrow();
});
