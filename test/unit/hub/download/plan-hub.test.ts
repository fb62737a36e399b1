import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { planPull, type PullOptions } from "../../../../src/hub/download/pull-model.ts";
import { writeModelLock } from "../../../../src/hub/find/model-lock.ts";
import type { HubModelRef } from "../../../../src/profiles/schema/schema.ts";
import { sha256, startHubServer, type HubServer } from "../../../support/hub-server.ts";

const ref: HubModelRef = { hf: "unsloth/Tiny-GGUF", quant: "Q8_0" };
const names = [1, 2].map((i) => `Q8_0/Tiny-Q8_0-0000${i}-of-00002.gguf`);
const contents = [Buffer.from("GGUF, 32 bytes of a first shard."), Buffer.from("GGUF, the second")];
const commit = "c0ffee".padEnd(40, "0");
const newCommit = "beef".padEnd(40, "0");
const listed = names.map((name, i) => ({
  name,
  sizeBytes: contents[i]?.length ?? 0,
  digest: sha256(contents[i] ?? Buffer.alloc(0)),
}));

let server: HubServer;
let folder: string;
let hubCache: string;
let repo: string;
let lockFolder: string;

beforeEach(async () => {
  server = await startHubServer();
  publish(commit);
  folder = await mkdtemp(join(tmpdir(), "llmctl-plan-"));
  hubCache = join(folder, "hub");
  lockFolder = join(folder, ".models");
  repo = join(hubCache, "models--unsloth--Tiny-GGUF");
});

afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

function publish(at: string, readme = "hello", first = contents[0] ?? Buffer.alloc(0)): void {
  const [a = "", b = ""] = names;
  const files = {
    "README.md": { content: Buffer.from(readme), inGit: true },
    [b]: { content: contents[1] ?? Buffer.alloc(0) },
    [a]: { content: first },
  };
  server.repos.set(ref.hf, { commit: at, files });
}

function plan(more: Partial<PullOptions> = {}) {
  return planPull(ref, {
    hubCache,
    modelDirs: [],
    lockFolder,
    profile: "tiny",
    at: "tiny.yaml:1:1",
    hub: { endpoint: server.url, offline: false },
    signal: new AbortController().signal,
    onProgress: () => {},
    wait: async () => {},
    ...more,
  });
}

/** Puts blobs into the cache, and names for them into the snapshot of the commit. */
async function keep(digests: readonly string[]): Promise<void> {
  for (const [i, { name, digest }] of listed.entries()) {
    if (!digests.includes(digest)) continue;
    const blob = join(repo, "blobs", digest);
    const link = join(repo, "snapshots", commit, name);
    for (const path of [blob, link]) await mkdir(dirname(path), { recursive: true });
    await writeFile(blob, contents[i] ?? "");
    await symlink(blob, link);
  }
  await mkdir(join(repo, "refs"), { recursive: true });
  await writeFile(join(repo, "refs/main"), commit);
}

function toFetch(haveBytes: readonly number[], missingBytes: number) {
  const store = { folder: hubCache, name: "the Hugging Face cache", setting: "HF_HUB_CACHE" };
  return {
    kind: "fetch",
    commit,
    files: listed.map((file, i) => ({ ...file, haveBytes: haveBytes[i] })),
    missingBytes,
    store,
  };
}

const complete = () => ({
  kind: "complete",
  files: {
    shards: listed.map(({ name, sizeBytes }) => ({ path: join(repo, "snapshots", commit, name), sizeBytes })),
    source: "Hugging Face cache",
  },
});
const all = listed.map(({ digest }) => digest);
const lists = () => server.requests.map(({ path }) => path).filter((path) => path.includes("/revision/"));

describe("the plan of a pull from the Hub", () => {
  test("is to fetch the shards of the model in order, and no other file", async () => {
    expect(await plan()).toEqual(toFetch([0, 0], 48));
    expect(lists()).toEqual(["/api/models/unsloth/Tiny-GGUF/revision/main"]);
  });

  test("counts blobs, and the bytes of unfinished ones", async () => {
    await keep([all[1] ?? ""]);
    await writeFile(join(repo, "blobs", `${all[0]}.llmctl.incomplete`), "GGUF");
    await writeFile(join(repo, "blobs", `${all[0]}.llmctl.ranges`), "\n0 4");
    expect(await plan()).toEqual(toFetch([4, 16], 28));
  });

  test("is that nothing is to do when the model is there, and asks nobody", async () => {
    await keep(all);
    expect(await plan({ hub: { endpoint: server.url, offline: true } })).toEqual(complete());
    expect(server.requests).toEqual([]);
  });

  test("lists the commit that the reference is locked to, except for an update", async () => {
    await writeModelLock(lockFolder, ref, { commit, files: listed });
    await plan();
    await plan({ update: true });
    await plan({ lockFolder: undefined as never });
    expect(lists()).toEqual([commit, "main", "main"].map((at) => `/api/models/unsloth/Tiny-GGUF/revision/${at}`));
  });

  test("is an error when the locked commit is gone, which says how to take the new one", async () => {
    await writeModelLock(lockFolder, ref, { commit, files: listed });
    publish(newCommit);
    await expect(plan()).rejects.toMatchObject({
      code: "hub-not-found",
      message: `"unsloth/Tiny-GGUF" (Q8_0) is locked to commit ${commit}, which no longer exists on the Hub`,
      exit: "missingFile",
      fix: { run: ["pull", "--update", "tiny"] },
    });
    await expect(plan({ lockFolder: join(folder, "none") })).resolves.toMatchObject({ commit: newCommit });
  });

  test("is an error without network, which says what would need it", async () => {
    const offline = { hub: { endpoint: server.url, offline: true } };
    await expect(plan(offline)).rejects.toMatchObject({
      code: "hub-offline",
      message: '"unsloth/Tiny-GGUF" (Q8_0) is not on this machine, and HF_HUB_OFFLINE forbids fetching it',
      at: "tiny.yaml:1:1",
    });
    await keep(all);
    await expect(plan({ ...offline, update: true })).rejects.toMatchObject({
      code: "hub-offline",
      message: 'HF_HUB_OFFLINE forbids looking for a newer version of "unsloth/Tiny-GGUF" (Q8_0)',
    });
    expect(server.requests).toEqual([]);
  });

  test("is an error at the place of the reference when the Hub has no such quant", async () => {
    server.repos.set(ref.hf, { commit, files: { "Tiny-Q4_0.gguf": { content: Buffer.from("GGUF") } } });
    await expect(plan()).rejects.toMatchObject({ at: "tiny.yaml:1:1", exit: "config" });
  });
});

describe("the plan of an update", () => {
  const update = { update: true };

  test.each([true, false])("ignores a new commit that changes other files only (locked: %s)", async (isLocked) => {
    await keep(all);
    if (isLocked) await writeModelLock(lockFolder, ref, { commit, files: listed });
    publish(newCommit, "a new README");
    expect(await plan(update)).toEqual(complete());
    expect(lists()).toEqual(["/api/models/unsloth/Tiny-GGUF/revision/main"]);
  });

  test("fetches the shard that has changed", async () => {
    await keep(all);
    await writeModelLock(lockFolder, ref, { commit, files: listed });
    publish(newCommit, "hello", Buffer.from("GGUF, 32 bytes of a newer shard."));
    expect(await plan(update)).toMatchObject({
      kind: "fetch",
      commit: newCommit,
      missingBytes: 32,
      files: [{ haveBytes: 0 }, { haveBytes: 16 }],
    });
  });

  test("fetches a model of which another one is known", async () => {
    await keep(all);
    for (const files of [
      listed.slice(0, 1),
      [...listed].toReversed(),
      listed.map((file) => ({ ...file, name: `x/${file.name}` })),
    ]) {
      await writeModelLock(lockFolder, ref, { commit, files });
      expect(await plan(update)).toMatchObject({ kind: "fetch" });
    }
  });
});
