import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { hashFile } from "../../../../src/hub/keep/hash-file.ts";
import { identifyFiles } from "../../../../src/hub/keep/identify-file.ts";
import { findVerified, recordVerified } from "../../../../src/hub/keep/verified-files.ts";
import { verifyFiles, type VerifyEvent } from "../../../../src/hub/keep/verify-model.ts";
import { gitBlobId, sha256 } from "../../../support/hub-server.ts";
import { putPythonCache, putPythonFolder } from "../../../support/python-cache.ts";

const commit = "a".repeat(40);
const content = Buffer.alloc(3_000_001, "llama");
let dir: string;
let path: string;
let events: VerifyEvent[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "llmctl-verify-"));
  path = join(dir, "model.gguf");
  await writeFile(path, content);
  events = [];
});

afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

const quiet = { signal: new AbortController().signal, onBytes: () => {} };
const locks = () => join(dir, "locks");
const verify = (digest: string, again = false) =>
  verifyFiles([{ path, sizeBytes: content.length, digest }], {
    lockFolder: locks(),
    signal: quiet.signal,
    onProgress: (event) => void events.push(event),
    again,
  });

describe("hashFile", () => {
  test("computes sha256, or git's blob id if the expected digest is one", async () => {
    expect(await hashFile(path, sha256(content), quiet)).toBe(sha256(content));
    expect(await hashFile(path, gitBlobId(content), quiet)).toBe(gitBlobId(content));
  });

  test("hashes an empty file", async () => {
    await writeFile(path, "");
    expect(await hashFile(path, sha256(content), quiet)).toBe(sha256(Buffer.alloc(0)));
  });

  test("ends when it is aborted", async () => {
    const stop = new AbortController();
    const hashing = hashFile(path, sha256(content), { signal: stop.signal, onBytes: () => stop.abort() });
    await expect(hashing).rejects.toMatchObject({ name: "AbortError" });
  });
});

describe("verifyFiles", () => {
  test("reads a file once, and again when told to", async () => {
    await verify(sha256(content));
    expect(events.at(-1)).toEqual({ kind: "verify", file: path, doneBytes: content.length, sizeBytes: content.length });
    events = [];
    await verify(sha256(content));
    expect(events).toEqual([]);
    await verify(sha256(content), true);
    expect(events).not.toEqual([]);
  });

  test("reads a file again that has changed since", async () => {
    await verify(sha256(content));
    await utimes(path, 1, 1);
    events = [];
    await verify(sha256(content));
    expect(events).not.toEqual([]);
  });

  test("refuses changed content, names both digests, and forgets the earlier result", async () => {
    await recordVerified(locks(), path, sha256(content));
    const wanted = "0".repeat(64);
    await expect(verify(wanted)).rejects.toMatchObject({
      code: "model-damaged",
      exit: "missingFile",
      message: `"${path}" is damaged: its digest is ${sha256(content)} instead of ${wanted}`,
    });
    expect(await findVerified(locks(), path)).toBeUndefined();
  });

  test.each([
    ["glm47", (place: string) => ({ before: `delete "${place}", then fetch it again with`, run: ["pull", "glm47"] })],
    [undefined, (place: string) => `delete "${place}"`],
  ])("has a fix for changed content, of the profile %s", async (profile, fix) => {
    const files = [{ path, sizeBytes: content.length, digest: "0".repeat(64), profile }];
    const verifying = verifyFiles(files, { lockFolder: locks(), signal: quiet.signal, onProgress: () => {} });
    await expect(verifying).rejects.toMatchObject({ code: "model-damaged", fix: fix(path) });
  });

  test("ignores an invalid record", async () => {
    await recordVerified(locks(), path, sha256(content));
    const [name = ""] = await readdir(join(locks(), "verified"));
    for (const text of ["", "{", "null", '{"version":1,"path":3}']) {
      await writeFile(join(locks(), "verified", name), text);
      expect(await findVerified(locks(), path)).toBeUndefined();
    }
  });
});

describe("identifyFiles", () => {
  const files = ["a/m-00001-of-00002.gguf", "a/m-00002-of-00002.gguf"].map((name) => ({
    name,
    content: Buffer.from(name),
  }));
  const known = files.map((file) => ({
    name: file.name,
    sizeBytes: file.content.length,
    digest: sha256(file.content),
  }));
  const filesAt = (paths: readonly string[]) => ({
    shards: paths.map((one, i) => ({ path: one, sizeBytes: files[i]?.content.length ?? 0 })),
    source: "test",
  });

  test("knows commit and digests of the Python client's cache and of its folders", async () => {
    expect(await identifyFiles(filesAt(await putPythonCache(join(dir, "hub"), "o/r", commit, files)))).toEqual({
      commit,
      files: known,
    });
    expect(await identifyFiles(filesAt(await putPythonFolder(join(dir, "o/r"), commit, files)))).toEqual({
      commit,
      files: known,
    });
  });

  test("knows nothing about a plain file, or one that was changed after its note", async () => {
    expect(await identifyFiles({ shards: [{ path, sizeBytes: content.length }], source: "test" })).toBeUndefined();
    const paths = await putPythonFolder(join(dir, "o/r"), commit, files);
    await utimes(paths[1] ?? "", 1_700_000_010, 1_700_000_010);
    expect(await identifyFiles(filesAt(paths))).toBeUndefined();
  });

  test("ignores a note without a valid commit and digest", async () => {
    const paths = await putPythonFolder(join(dir, "o/r"), commit, files);
    await writeFile(
      join(dir, "o/r/.cache/huggingface/download", `${files[0]?.name}.metadata`),
      `../../x\n../../y\n1800000000\n`,
    );
    expect(await identifyFiles(filesAt(paths))).toBeUndefined();
  });
});
