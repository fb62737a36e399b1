import { chown, link, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { withBlobLock } from "../../../../src/hub/download/blob-lock.ts";
import { linkBlob, repoFolder, writeRef } from "../../../../src/hub/find/hub-cache.ts";
import { partPath, PartFile } from "../../../../src/hub/download/part-file.ts";

const commit = "0123456789".repeat(4);
const file = { name: "m.gguf", sizeBytes: 4, digest: "a".repeat(64) };
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-cache-"));
  await mkdir(join(folder, "cache"));
  await mkdir(join(folder, "victim"));
  await writeFile(join(folder, "victim", "file"), "text");
});
afterEach(() => rm(folder, { recursive: true }));

const waiting = { signal: new AbortController().signal, onWait: () => {} };

// Only root can give a folder to another user.
test.runIf(process.getuid?.() === 0)("root writes nothing through links in another user's cache", async () => {
  for (const name of ["hub", "models"]) await symlink(join(folder, "victim"), join(folder, "cache", name));
  await chown(join(folder, "cache"), 65_534, 65_534);
  const repo = repoFolder(join(folder, "cache", "hub"), "a/b");
  const path = join(folder, "cache", "models", "m.gguf");
  const refused = expect.objectContaining({ code: "foreign-folder", exit: "permission" });
  await expect(writeRef(repo, "main", commit)).rejects.toThrow(refused);
  await expect(linkBlob(repo, commit, "m.gguf", file.digest)).rejects.toThrow(refused);
  await expect(PartFile.open(path, file)).rejects.toThrow(refused);
  await expect(withBlobLock(`${path}.lock`, waiting, async () => {})).rejects.toThrow(refused);
  expect(await readdir(join(folder, "victim"))).toEqual(["file"]);
});

test("a part, its record or a lock that is a hard link is not written", async () => {
  const blob = join(folder, "cache", "m.gguf");
  const victim = join(folder, "victim", "file");
  await link(victim, partPath(blob));
  await expect(PartFile.open(blob, file)).rejects.toThrow(expect.objectContaining({ code: "linked-file" }));
  await rm(partPath(blob));
  await link(victim, `${blob}.llmctl.ranges`);
  await expect(PartFile.open(blob, file)).rejects.toThrow(expect.objectContaining({ code: "linked-file" }));
  await symlink(victim, `${blob}.lock`);
  await expect(withBlobLock(`${blob}.lock`, waiting, async () => {})).rejects.toThrow(
    expect.objectContaining({ code: "not-a-file" }),
  );
  expect(await readFile(victim, "utf8")).toBe("text");
});
