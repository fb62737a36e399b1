import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { planPull, type PullOptions } from "../../../../src/hub/download/pull-model.ts";
import { writeModelLock } from "../../../../src/hub/find/model-lock.ts";
import { listUrlFiles } from "../../../../src/hub/find/url-files.ts";
import { recordVerified } from "../../../../src/hub/keep/verified-files.ts";
import type { UrlModelRef } from "../../../../src/profiles/schema/schema.ts";
import { sha256, startHubServer, type HubServer } from "../../../support/hub-server.ts";

const content = Buffer.from("GGUF, 32 bytes of a first model.");
const newContent = Buffer.from("GGUF, 33 bytes of another model!!");
const etagOf = (bytes: Buffer) => `"${sha256(bytes).slice(0, 16)}"`;

let server: HubServer;
let folder: string;
let urlFolder: string;
let lockFolder: string;
let ref: UrlModelRef;
let path: string;

beforeEach(async () => {
  server = await startHubServer();
  server.plain.set("/m.gguf", { content });
  folder = await mkdtemp(join(tmpdir(), "llmctl-plan-"));
  urlFolder = join(folder, "models");
  lockFolder = join(folder, ".models");
  await mkdir(urlFolder);
  ref = { url: `${server.url}/m.gguf` };
  path = listUrlFiles(ref, { urlFolder })[0]?.path ?? "";
});

afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

function plan(of: UrlModelRef, more: Partial<PullOptions> = {}) {
  return planPull(of, {
    hubCache: folder,
    modelDirs: [],
    urlFolder,
    lockFolder,
    profile: "tiny",
    at: "tiny.yaml:1:1",
    hub: { endpoint: server.url, token: "secret", offline: false },
    signal: new AbortController().signal,
    onProgress: () => {},
    wait: async () => {},
    ...more,
  });
}

/** The reference was fetched once, with this content. */
async function lockTo(bytes: Buffer, version: string | undefined = etagOf(bytes)): Promise<void> {
  await writeModelLock(lockFolder, ref, {
    files: [{ name: "m.gguf", sizeBytes: bytes.length, digest: sha256(bytes), version }],
  });
}

/** The plan to fetch the only file, but for what is given. */
function toFetch(changes: object = {}, missingBytes = content.length) {
  const file = {
    url: ref.url,
    name: "m.gguf",
    path,
    sizeBytes: content.length,
    version: etagOf(content),
    digest: undefined,
    digestOf: undefined,
    isStale: false,
    haveBytes: 0,
    ...changes,
  };
  const store = { folder: urlFolder, name: "llmctl's data folder", setting: "XDG_DATA_HOME" };
  return { kind: "fetch", files: [file], missingBytes, store };
}

const complete = () => ({
  kind: "complete",
  files: { shards: [{ path, sizeBytes: content.length }], source: "llmctl's own downloads" },
});

describe("the plan of a pull from an address", () => {
  test("is to fetch what is not there, of the size and version that the server tells for four bytes", async () => {
    expect(await plan(ref)).toEqual(toFetch());
    expect(server.requests.map(({ headers: { range, authorization } }) => [range, authorization])).toEqual([
      ["bytes=0-3", undefined],
    ]);
    expect(server.codable()).toEqual([]);
  });

  test("counts the bytes of an unfinished download", async () => {
    await writeFile(`${path}.llmctl.incomplete`, content.subarray(0, 20));
    await writeFile(`${path}.llmctl.ranges`, "\n0 20");
    expect(await plan(ref)).toEqual(toFetch({ haveBytes: 20 }, 12));
  });

  test("is that nothing is to do when the file is there, and asks nobody", async () => {
    await writeFile(path, content);
    expect(await plan(ref, { hub: { endpoint: server.url, offline: true } })).toEqual(complete());
    await lockTo(content);
    expect(await plan(ref)).toEqual(complete());
    expect(server.requests).toEqual([]);
  });

  test("has the digest of the profile", async () => {
    ref = { ...ref, sha256: sha256(newContent) };
    await lockTo(content);
    expect(await plan(ref)).toEqual(toFetch({ digest: sha256(newContent), digestOf: "profile" }));
  });

  test("has the digest that came at first, when the profile has none", async () => {
    await lockTo(content);
    expect(await plan(ref)).toEqual(toFetch({ digest: sha256(content), digestOf: "lock" }));
  });

  test("is an error when the file has another size than at first", async () => {
    await lockTo(newContent);
    await expect(plan(ref)).rejects.toMatchObject({
      code: "url-changed",
      message: `${ref.url} has changed since it was first fetched: it had 33 B then and has 32 B now`,
      exit: "missingFile",
      at: "tiny.yaml:1:1",
      fix: { run: ["pull", "--update", "tiny"], after: "to accept the new content" },
    });
  });

  test("leaves out the shards that are there, unless they are known to be others", async () => {
    const shards = [1, 2].map((i) => `/s-0000${i}-of-00002.gguf`);
    for (const shard of shards) server.plain.set(shard, { content });
    ref = { url: server.url + (shards[0] ?? ""), sha256: shards.map(() => sha256(content)) };
    const first = listUrlFiles(ref, { urlFolder })[0]?.path ?? "";
    await writeFile(first, content);
    expect(await plan(ref)).toMatchObject({ missingBytes: 32, files: [{ haveBytes: 32 }, { haveBytes: 0 }] });
    await recordVerified(lockFolder, first, sha256(content));
    expect(await plan(ref)).toMatchObject({ missingBytes: 32 });
    await recordVerified(lockFolder, first, sha256(newContent));
    expect(await plan(ref)).toMatchObject({ missingBytes: 64, files: [{ haveBytes: 0 }, { haveBytes: 0 }] });
    expect(await plan(ref, { lockFolder: undefined as never })).toMatchObject({ missingBytes: 32 });
    await writeFile(first, "GGUF");
    expect(await plan(ref)).toMatchObject({ missingBytes: 64 });
  });

  test("is an error without network, which says what would need it", async () => {
    const offline = { hub: { endpoint: server.url, offline: true } };
    await expect(plan(ref, offline)).rejects.toMatchObject({
      code: "hub-offline",
      message: `"${ref.url}" is not on this machine, and HF_HUB_OFFLINE forbids fetching it`,
      at: "tiny.yaml:1:1",
    });
    await writeFile(path, content);
    await expect(plan(ref, { ...offline, update: true })).rejects.toMatchObject({
      code: "hub-offline",
      message: `HF_HUB_OFFLINE forbids looking for a newer version of "${ref.url}"`,
      exit: "unavailable",
      fix: "unset HF_HUB_OFFLINE",
    });
    expect(server.requests).toEqual([]);
  });
});

describe("the plan of an update", () => {
  const update = { update: true };

  test("is that nothing is to do when the server has the version that came", async () => {
    await writeFile(path, content);
    await lockTo(content);
    expect(await plan(ref, update)).toEqual(complete());
    expect(server.requests).toHaveLength(1);
  });

  test("replaces a file of which nothing is known", async () => {
    await writeFile(path, content);
    expect(await plan(ref, update)).toEqual(toFetch({ isStale: true }));
  });

  test("replaces a file of another version, whatever digest it had", async () => {
    await writeFile(path, content);
    await lockTo(content, '"old"');
    expect(await plan(ref, update)).toEqual(toFetch({ isStale: true }));
  });

  test("replaces a file of another size when the server tells no versions", async () => {
    await writeFile(path, content);
    server.plain.set("/m.gguf", { content, isSimple: true });
    await writeModelLock(lockFolder, ref, {
      files: [{ name: "m.gguf", sizeBytes: content.length, digest: sha256(content) }],
    });
    expect(await plan(ref, update)).toEqual(complete());
    server.plain.set("/m.gguf", { content: newContent, isSimple: true });
    expect(await plan(ref, update)).toEqual(
      toFetch({ isStale: true, sizeBytes: newContent.length, version: undefined }, newContent.length),
    );
  });

  test("takes what is there no longer for a file to fetch, and no digest from the lock", async () => {
    await lockTo(content);
    expect(await plan(ref, update)).toEqual(toFetch());
  });

  test("has nothing to do when the profile says which content it wants, and asks nobody", async () => {
    await writeFile(path, content);
    expect(await plan({ ...ref, sha256: sha256(content) }, update)).toEqual(complete());
    expect(server.requests).toEqual([]);
  });
});
