import { spawn } from "node:child_process";
import { once } from "node:events";
import { lstat, mkdir, mkdtemp, open, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { blobPath, linkBlob, repoFolder, writeRef } from "../../../../src/hub/find/hub-cache.ts";
import { planPrune, prune } from "../../../../src/hub/keep/prune-cache.ts";

const commits = ["a", "b"].map((letter) => letter.repeat(40)) as [string, string];

let folder: string;
let hubCache: string;
let urlFolder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-prune-"));
  hubCache = join(folder, "hub");
  urlFolder = join(folder, "models");
  await mkdir(urlFolder);
});

afterEach(() => rm(folder, { recursive: true }));

/** Puts a file of a commit into the cache. @returns its path in the snapshot. */
async function keep(hf: string, commit: string, name: string, digest: string, sizeBytes = 10): Promise<string> {
  const repo = repoFolder(hubCache, hf);
  await mkdir(join(repo.path, "blobs"), { recursive: true });
  await writeFile(blobPath(repo, digest), Buffer.alloc(sizeBytes));
  return linkBlob(repo, commit, name, digest);
}

async function keepUrlFile(name: string, sizeBytes = 10): Promise<string> {
  const path = join(urlFolder, name);
  await writeFile(path, Buffer.alloc(sizeBytes));
  return path;
}

async function plan(used: readonly string[] = []) {
  const { models, freedBytes, held } = await planPrune({ hubCache, urlFolder }, new Set(used));
  return { models: models.map(({ name }) => name).toSorted(), freedBytes, held: held.map(({ name }) => name) };
}

async function pruneAll(used: readonly string[] = []): Promise<void> {
  const folders = { hubCache, urlFolder };
  await prune(await planPrune(folders, new Set(used)), folders, new AbortController().signal);
}

/** All that is left, but for folders of locks. */
async function listLeft(): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  return names.filter((name) => !name.includes(".locks")).toSorted();
}

describe("the plan of a prune", () => {
  test("has the models of both folders that no profile uses", async () => {
    await keep("o/one", commits[0], "one-Q8_0.gguf", "1");
    const used = await keep("o/two", commits[0], "two-Q8_0.gguf", "2");
    await keepUrlFile("three.gguf", 5);
    const usedUrl = await keepUrlFile("four.gguf");
    expect(await plan([used, usedUrl])).toEqual({ models: ["one-Q8_0.gguf", "three.gguf"], freedBytes: 15, held: [] });
  });

  test("spares a set of which a profile uses one shard", async () => {
    await keep("o/one", commits[0], "m-00001-of-00002.gguf", "1");
    const used = await keep("o/one", commits[0], "m-00002-of-00002.gguf", "2");
    expect(await plan([used])).toEqual({ models: [], freedBytes: 0, held: [] });
  });

  test("counts a blob with two names once, and not at all when another model needs it", async () => {
    await keep("o/one", commits[0], "m.gguf", "1");
    const second = await keep("o/one", commits[1], "m.gguf", "1");
    expect(await plan()).toMatchObject({ models: ["m.gguf", "m.gguf"], freedBytes: 10 });
    expect(await plan([second])).toMatchObject({ models: ["m.gguf"], freedBytes: 0 });
  });

  test("spares what a process has open, under either name", async () => {
    const path = await keep("o/one", commits[0], "m.gguf", "1");
    const url = await keepUrlFile("u.gguf");
    const opened = [await open(path), await open(url)];
    const reader = spawn("cat", { stdio: ["pipe", "ignore", "ignore", ...opened.map(({ fd }) => fd)] });
    try {
      expect(await plan()).toMatchObject({ models: [], freedBytes: 0, held: ["m.gguf", "u.gguf"] });
    } finally {
      reader.stdin?.end();
      await once(reader, "close");
      for (const file of opened) await file.close();
    }
    expect(await plan()).toMatchObject({ models: ["m.gguf", "u.gguf"], held: [] });
  });

  test("spares names that lead out of their repository or folder", async () => {
    await writeFile(join(folder, "precious.gguf"), "text");
    const snapshot = join(repoFolder(hubCache, "o/one").path, "snapshots", commits[0]);
    await mkdir(snapshot, { recursive: true });
    await symlink(join(folder, "precious.gguf"), join(snapshot, "out.gguf"));
    await symlink(join(folder, "precious.gguf"), join(urlFolder, "out.gguf"));
    await keep("o/two", commits[0], "m.gguf", "2");
    const foreign = blobPath(repoFolder(hubCache, "o/two"), "2");
    await symlink(foreign, join(snapshot, "other-repo.gguf"));
    await writeFile(join(snapshot, "plain-copy.gguf"), "text");
    expect((await plan()).models).toEqual(["m.gguf", "plain-copy.gguf"]);
  });
});

describe("a prune", () => {
  test("removes names, blobs, and the folders and refs that lead nowhere then", async () => {
    await keep("o/one", commits[0], "Q8_0/m-00001-of-00002.gguf", "1");
    await keep("o/one", commits[0], "Q8_0/m-00002-of-00002.gguf", "2");
    await writeRef(repoFolder(hubCache, "o/one"), "main", commits[0]);
    await writeRef(repoFolder(hubCache, "o/one"), "pr/1", commits[0]);
    await keepUrlFile("u.gguf");
    await pruneAll();
    const repo = "hub/models--o--one";
    expect(await listLeft()).toEqual(
      ["", "/blobs", "/refs", "/refs/pr", "/snapshots"]
        .map((path) => repo + path)
        .concat("hub", "models")
        .toSorted(),
    );
  });

  test("leaves a blob that has another name, other files, and the refs of snapshots that stay", async () => {
    await keep("o/one", commits[0], "m.gguf", "1");
    const used = await keep("o/one", commits[1], "m.gguf", "1");
    const repo = repoFolder(hubCache, "o/one");
    await writeRef(repo, "old", commits[0]);
    await writeRef(repo, "main", commits[1]);
    await writeFile(join(repo.path, "snapshots", commits[0], "config.json"), "{}");
    await pruneAll([used]);
    expect((await listLeft()).filter((name) => /\/(?:blobs|refs|snapshots)\//.test(name))).toEqual([
      "hub/models--o--one/blobs/1",
      "hub/models--o--one/refs/main",
      "hub/models--o--one/refs/old",
      `hub/models--o--one/snapshots/${commits[0]}`,
      `hub/models--o--one/snapshots/${commits[0]}/config.json`,
      `hub/models--o--one/snapshots/${commits[1]}`,
      `hub/models--o--one/snapshots/${commits[1]}/m.gguf`,
    ]);
    expect((await lstat(used)).isSymbolicLink()).toBe(true);
  });

  test("is content with files that are already gone", async () => {
    const path = await keep("o/one", commits[0], "m.gguf", "1");
    const url = await keepUrlFile("u.gguf");
    const planned = await planPrune({ hubCache, urlFolder }, new Set());
    await rm(path);
    await rm(url);
    await prune(planned, { hubCache, urlFolder }, new AbortController().signal);
    expect((await listLeft()).filter((name) => name.endsWith(".gguf") || name.endsWith("blobs/1"))).toEqual([]);
  });

  test("that is interrupted deletes nothing more", async () => {
    const url = await keepUrlFile("u.gguf");
    const reason = new Error("Ctrl-C");
    const folders = { hubCache, urlFolder };
    const planned = await planPrune(folders, new Set());
    await expect(prune(planned, folders, AbortSignal.abort(reason))).rejects.toBe(reason);
    expect((await lstat(url)).isFile()).toBe(true);
  });
});
