import { execFileSync } from "node:child_process";
import { chownSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
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

test("reads a file up to its limit, and none beyond it", () => {
  writeFileSync(join(folder, "f"), "1234");
  expect(readSmallFile(join(folder, "f"), { most: 4 })).toBe("1234");
  expect(readSmallFile(join(folder, "f"), { most: 3 })).toBeUndefined();
  truncateSync(join(folder, "f"), 1 << 20);
  expect(readSmallFile(join(folder, "f"))).toHaveLength(1 << 20);
  truncateSync(join(folder, "f"), (1 << 20) + 1);
  expect(readSmallFile(join(folder, "f"))).toBeUndefined();
});

// Only root can give a file to another user.
test.runIf(process.getuid?.() === 0)("refuses a file of another user, unless it may be that user's or anyone's", () => {
  const path = join(folder, "f");
  writeFileSync(path, "text");
  chownSync(path, 65_534, 65_534);
  for (const options of [{}, { owner: 1 }])
    expect(() => readSmallFile(path, { ...options, what: "lock file" })).toThrow(
      expect.objectContaining({
        code: "foreign-file",
        at: path,
        message: 'the lock file belongs to another user: "nobody" (uid 65534)',
      }),
    );
  for (const owner of [65_534, "anyone"] as const) expect(readSmallFile(path, { owner })).toBe("text");
});

test("does not wait for a pipe's writer, and refuses a huge file", () => {
  execFileSync("mkfifo", [join(folder, "pipe")]);
  expect(readSmallFile(join(folder, "pipe"))).toBeUndefined();
  writeFileSync(join(folder, "huge"), "");
  truncateSync(join(folder, "huge"), 3e9);
  expect(readSmallFile(join(folder, "huge"))).toBeUndefined();
  expect(readSmallFile(folder)).toBeUndefined();
});

test("follows a link only where it is asked to, and waits for no pipe behind it", () => {
  writeFileSync(join(folder, "f"), "text");
  symlinkSync(join(folder, "f"), join(folder, "link"));
  expect(() => readSmallFile(join(folder, "link"))).toThrow("ELOOP");
  expect(readSmallFile(join(folder, "link"), { follow: true })).toBe("text");
  execFileSync("mkfifo", [join(folder, "pipe")]);
  expect(readSmallFile(join(folder, "pipe"), { follow: true })).toBeUndefined();
});
