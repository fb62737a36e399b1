import { execFileSync } from "node:child_process";
import { closeSync, constants } from "node:fs";
import { chown, link, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openOwnFile } from "../../../../src/base/files/own-file.ts";

const flags = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND;
let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-own-file-"));
  path = join(folder, "file");
  await writeFile(join(folder, "victim"), "text");
});
afterEach(() => rm(folder, { recursive: true }));

test("one's own file is opened, and created when it is missing", async () => {
  closeSync(openOwnFile(path, flags));
  closeSync(openOwnFile(path, flags));
  expect(await readFile(path, "utf8")).toBe("");
});

test.each([
  ["a link", () => symlink(join(folder, "victim"), path), { code: "ELOOP" }],
  ["a link to nothing", () => symlink(join(folder, "none"), path), { code: "ELOOP" }],
  ["a hard link", () => link(join(folder, "victim"), path), { code: "linked-file", exit: "permission" }],
  ["a pipe", () => Promise.resolve(execFileSync("mkfifo", [path])), { code: "not-a-file" }],
  ["a folder", () => mkdir(path), { code: "EISDIR" }],
])("%s is refused", async (_, make: () => Promise<unknown>, error) => {
  await make();
  expect(() => openOwnFile(path, flags)).toThrow(expect.objectContaining(error));
  expect(await readFile(join(folder, "victim"), "utf8")).toBe("text");
});

// Only root can give a file to another user.
test.runIf(process.getuid?.() === 0)("a file of another user is refused with the owner's name", async () => {
  await writeFile(path, "");
  await chown(path, 65_534, 65_534);
  expect(() => openOwnFile(path, flags, "log")).toThrow(
    expect.objectContaining({
      code: "foreign-file",
      exit: "permission",
      message: 'the log belongs to another user: "nobody" (uid 65534)',
    }),
  );
});
