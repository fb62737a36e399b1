import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findTool } from "../../../../src/base/files/find-tool.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-test-"));
  await mkdir(join(folder, "first/tool"), { recursive: true });
  await mkdir(join(folder, "second"));
  await writeFile(join(folder, "second/tool"), "", { mode: 0o755 });
  await writeFile(join(folder, "second/text"), "", { mode: 0o644 });
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

describe("findTool", () => {
  test("takes the first program of that name, and never a folder", () => {
    expect(findTool("tool", `${folder}/missing::${folder}/first:${folder}/second`)).toBe(join(folder, "second/tool"));
  });

  test.each(["text", "other"])("finds nothing for %j", (name) => {
    expect(findTool(name, join(folder, "second"))).toBeUndefined();
  });
});
