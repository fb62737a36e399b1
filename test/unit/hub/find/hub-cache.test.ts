import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findCommit, isSafePath, linkBlob, repoFolder, writeRef } from "../../../../src/hub/find/hub-cache.ts";

const commit = "c".repeat(40);
let hubCache: string;

beforeEach(async () => {
  hubCache = await mkdtemp(join(tmpdir(), "llmctl-hub-"));
});

afterEach(async () => {
  await rm(hubCache, { recursive: true, force: true });
});

describe("isSafePath", () => {
  test.each(["a.gguf", "folder/a.gguf", "..a/b..", ".gitattributes"])("accepts %s", (path) => {
    expect(isSafePath(path)).toBe(true);
  });

  test.each(["", "../a", "a/../../b", "/etc/passwd", "a//b", "a/", ".", "a/./b", "a\\b", "a\0b", "a\u001b[2Jb"])(
    "refuses %j",
    (path) => {
      expect(isSafePath(path)).toBe(false);
    },
  );
});

describe("refs", () => {
  test("are files with a commit, as the Python client writes them", async () => {
    const repo = repoFolder(hubCache, "owner/name");
    await writeRef(repo, "refs/pr/1", commit);
    expect(await readFile(join(hubCache, "models--owner--name/refs/refs/pr/1"), "utf8")).toBe(commit);
    expect(await findCommit(repo, "refs/pr/1")).toBe(commit);
  });

  test("are not needed for a commit", async () => {
    expect(await findCommit(repoFolder(hubCache, "owner/name"), commit)).toBe(commit);
  });

  test("without a commit count as missing", async () => {
    const repo = repoFolder(hubCache, "owner/name");
    await writeRef(repo, "main", "../../elsewhere");
    expect(await findCommit(repo, "main")).toBeUndefined();
    expect(await findCommit(repo, "other")).toBeUndefined();
  });

  test("cannot lead out of the repository's folder", async () => {
    await expect(findCommit(repoFolder(hubCache, "owner/name"), "../x")).rejects.toMatchObject({
      code: "bad-revision",
    });
  });
});

describe("linkBlob", () => {
  test("makes a relative link, even in a sub-folder or over an older link", async () => {
    const repo = repoFolder(hubCache, "owner/name");
    await linkBlob(repo, commit, "UD-Q2_K_XL/a.gguf", "old");
    const path = await linkBlob(repo, commit, "UD-Q2_K_XL/a.gguf", "new");
    expect(path).toBe(join(hubCache, "models--owner--name/snapshots", commit, "UD-Q2_K_XL/a.gguf"));
    expect(await readlink(path)).toBe("../../../blobs/new");
  });
});

test("a name of the greatest length gets its link", async () => {
  const folder = await mkdtemp(join(tmpdir(), "llmctl-long-"));
  try {
    const name = `${"n".repeat(250)}.gguf`;
    expect(isSafePath(name)).toBe(true);
    const path = await linkBlob(repoFolder(folder, "owner/repo"), "a".repeat(40), name, "b".repeat(64));
    expect(basename(path)).toBe(name);
    expect(await readdir(dirname(path))).toEqual([name]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a ref that is a pipe or too long counts as missing", async () => {
  const folder = await mkdtemp(join(tmpdir(), "llmctl-ref-"));
  try {
    const repo = repoFolder(folder, "owner/repo");
    await mkdir(join(repo.path, "refs"), { recursive: true });
    await writeFile(join(repo.path, "refs", "main"), "a".repeat(40).padEnd(100_000));
    execFileSync("mkfifo", [join(repo.path, "refs", "pipe")]);
    expect(await findCommit(repo, "main")).toBeUndefined();
    expect(await findCommit(repo, "pipe")).toBeUndefined();
    await expect(findCommit(repo, "n".repeat(300))).rejects.toMatchObject({ code: "bad-revision" });
    expect(await findCommit(repoFolder(folder, `owner/${"n".repeat(300)}`), "main")).toBeUndefined();
  } finally {
    await rm(folder, { recursive: true });
  }
});
