import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readSmallFile } from "../../../../src/base/files/read-small-file.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmctl-read-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("reads one's own file", () => {
  writeFileSync(join(folder, "f"), "text");
  expect(readSmallFile(join(folder, "f"))).toBe("text");
});

test("does not wait for a pipe's writer, and refuses a huge file", () => {
  execFileSync("mkfifo", [join(folder, "pipe")]);
  expect(readSmallFile(join(folder, "pipe"))).toBeUndefined();
  writeFileSync(join(folder, "huge"), "");
  truncateSync(join(folder, "huge"), 3e9);
  expect(readSmallFile(join(folder, "huge"))).toBeUndefined();
  expect(readSmallFile(folder)).toBeUndefined();
});

test("follows no link", () => {
  writeFileSync(join(folder, "f"), "text");
  symlinkSync(join(folder, "f"), join(folder, "link"));
  expect(() => readSmallFile(join(folder, "link"))).toThrow("ELOOP");
});
