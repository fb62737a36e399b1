import { chown, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { withBlobLock } from "../../../../src/hub/download/blob-lock.ts";
import { linkBlob, repoFolder, writeRef } from "../../../../src/hub/find/hub-cache.ts";
import { PartFile } from "../../../../src/hub/download/part-file.ts";

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
