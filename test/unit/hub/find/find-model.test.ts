import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { LlmctlError } from "../../../../src/base/errors.ts";
import { findModel, type FindOptions } from "../../../../src/hub/find/find-model.ts";
import { linkBlob, repoFolder, writeRef } from "../../../../src/hub/find/hub-cache.ts";
import { writeModelLock } from "../../../../src/hub/find/model-lock.ts";
import type { HubModelRef, ModelRef } from "../../../../src/profiles/schema/schema.ts";

const commit = "a".repeat(40);
const ref: HubModelRef = { hf: "unsloth/GLM-4.7-GGUF", quant: "UD-Q2_K_XL" };
const shards = [1, 2, 3].map((i) => `UD-Q2_K_XL/GLM-4.7-UD-Q2_K_XL-0000${i}-of-00003.gguf`);
let dir: string;
let options: FindOptions;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "llmctl-find-"));
  options = { hubCache: join(dir, "hub"), modelDirs: [join(dir, "models")], profile: "glm47", at: "glm47.yaml:2:3" };
});

afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

async function put(path: string, content = "GGUF"): Promise<string> {
  const full = join(dir, path);
  await mkdir(dirname(full), { recursive: true });
  await writeFile(full, content);
  return full;
}

/** Puts files into the Hugging Face cache as the Python client does. */
async function putCached(names: readonly string[], revision = "main"): Promise<string[]> {
  const repo = repoFolder(options.hubCache, ref.hf);
  const paths: string[] = [];
  for (const name of names) {
    const digest = Buffer.from(name).toString("hex").slice(-64);
    await put(`hub/models--unsloth--GLM-4.7-GGUF/blobs/${digest}`, name);
    paths.push(await linkBlob(repo, commit, name, digest));
  }
  await writeRef(repo, revision, commit);
  return paths;
}

describe("a local path", () => {
  test("is found with its size", async () => {
    const path = await put("model.gguf", "12345");
    expect(await findModel(path, options)).toEqual({ shards: [{ path, sizeBytes: 5 }], source: "local file" });
  });

  test("of a first shard includes the others", async () => {
    const paths = [await put("m-00001-of-00002.gguf"), await put("m-00002-of-00002.gguf")];
    const found = await findModel(paths[0] ?? "", options);
    expect(found.shards.map(({ path }) => path)).toEqual(paths);
  });

  test("of a later shard is refused, and the first is named", async () => {
    const path = await put("m-00002-of-00002.gguf");
    await expect(findModel(path, options)).rejects.toMatchObject({
      code: "not-first-shard",
      fix: `name "${join(dir, "m-00001-of-00002.gguf")}"`,
    });
  });

  test("that does not exist is an error with its place", async () => {
    await expect(findModel(join(dir, "none.gguf"), options)).rejects.toMatchObject({
      code: "model-missing",
      exit: "missingFile",
      message: `model file "${join(dir, "none.gguf")}" is missing`,
      at: "glm47.yaml:2:3",
      fix: "check the path",
    });
  });

  test("below a file is missing too", async () => {
    const path = join(await put("model.gguf"), "below.gguf");
    await expect(findModel(path, options)).rejects.toMatchObject({ code: "model-missing" });
  });

  test("with a shard missing names that shard", async () => {
    const first = await put("m-00001-of-00003.gguf");
    await put("m-00003-of-00003.gguf");
    await expect(findModel(first, options)).rejects.toMatchObject({
      code: "model-missing",
      message: `model file "${join(dir, "m-00002-of-00003.gguf")}" is missing (1 of 3 shards)`,
    });
  });

  test("of an empty file, a folder or a dangling link has an error of its own", async () => {
    await put("empty.gguf", "");
    await mkdir(join(dir, "folder.gguf"));
    await symlink(join(dir, "gone"), join(dir, "dangling.gguf"));
    await expect(findModel(join(dir, "empty.gguf"), options)).rejects.toMatchObject({
      code: "model-empty",
      exit: "missingFile",
    });
    await expect(findModel(join(dir, "folder.gguf"), options)).rejects.toMatchObject({
      code: "model-not-a-file",
      message: /is a folder$/,
    });
    await expect(findModel(join(dir, "dangling.gguf"), options)).rejects.toMatchObject({ code: "model-missing" });
  });
});

describe("a Hub model", () => {
  test("is found in the Hugging Face cache through its ref", async () => {
    const paths = await putCached(shards);
    const found = await findModel(ref, options);
    expect(found).toEqual({
      shards: paths.map((path, i) => ({ path, sizeBytes: shards[i]?.length })),
      source: "Hugging Face cache",
    });
  });

  test("is found by commit, and by another revision's name only when that was fetched", async () => {
    await putCached(shards, "v1");
    expect((await findModel({ ...ref, revision: commit }, options)).shards).toHaveLength(3);
    expect((await findModel({ ...ref, revision: "v1" }, options)).shards).toHaveLength(3);
    await expect(findModel(ref, options)).rejects.toMatchObject({ code: "model-missing" });
  });

  test.each(["models/unsloth/GLM-4.7-GGUF", "models/GLM-4.7-GGUF"])("is found in %s", async (folder) => {
    const paths = await Promise.all(shards.map((name) => put(`${folder}/${name}`)));
    const found = await findModel(ref, options);
    expect(found.shards.map(({ path }) => path)).toEqual(paths);
    expect(found.source).toBe(join(dir, folder));
  });

  test("is taken from a model folder when the cache holds only a part of it", async () => {
    await putCached(shards.slice(0, 2));
    await Promise.all(shards.map((name) => put(`models/GLM-4.7-GGUF/${name}`)));
    expect((await findModel(ref, options)).source).toBe(join(dir, "models/GLM-4.7-GGUF"));
  });

  test("that is missing is an error with the reference and the command", async () => {
    await expect(findModel(ref, options)).rejects.toMatchObject({
      code: "model-missing",
      exit: "missingFile",
      message: '"unsloth/GLM-4.7-GGUF" (UD-Q2_K_XL) is not on this machine',
      at: "glm47.yaml:2:3",
      fix: { run: ["pull", "glm47"] },
    });
  });

  test("without one shard names the shard", async () => {
    await putCached(shards.slice(0, 2));
    const absent = join(options.hubCache, "models--unsloth--GLM-4.7-GGUF/snapshots", commit, shards[2] ?? "");
    await expect(findModel(ref, options)).rejects.toMatchObject({
      code: "model-missing",
      message: expect.stringContaining(`${absent} is missing`),
    });
  });

  test("whose blob is gone counts as missing", async () => {
    await putCached(shards);
    await rm(join(options.hubCache, "models--unsloth--GLM-4.7-GGUF/blobs"), { recursive: true });
    await expect(findModel(ref, options)).rejects.toMatchObject({ code: "model-missing" });
  });

  test("that is twice in a folder is refused", async () => {
    await put("models/GLM-4.7-GGUF/a-UD-Q2_K_XL.gguf");
    await put("models/GLM-4.7-GGUF/b-UD-Q2_K_XL.gguf");
    await expect(findModel(ref, options)).rejects.toMatchObject({ code: "model-ambiguous", at: "glm47.yaml:2:3" });
  });

  test("with an empty file has the fix to delete it and pull", async () => {
    const path = await put("models/GLM-4.7-GGUF/a-UD-Q2_K_XL.gguf", "");
    await expect(findModel(ref, options)).rejects.toMatchObject({
      code: "model-empty",
      fix: { before: "delete it, then run", run: ["pull", "glm47"] },
    });
    expect(path).toContain("a-UD-Q2_K_XL");
  });

  test("with an empty file has the fix to delete it when no profile names it", async () => {
    await put("models/GLM-4.7-GGUF/a-UD-Q2_K_XL.gguf", "");
    await expect(findModel(ref, { ...options, profile: undefined })).rejects.toMatchObject({
      code: "model-empty",
      fix: "delete it",
    });
  });
});

describe("a locked Hub model", () => {
  const files = shards.map((name) => ({
    name,
    sizeBytes: name.length,
    digest: Buffer.from(name).toString("hex").slice(-64),
  }));

  beforeEach(async () => {
    options = { ...options, lockFolder: join(dir, "locks") };
    await writeModelLock(join(dir, "locks"), ref, { commit, files });
  });

  test("stays on its commit when the branch has moved on", async () => {
    const paths = await putCached(shards);
    await writeRef(repoFolder(options.hubCache, ref.hf), "main", "b".repeat(40));
    expect((await findModel(ref, options)).shards.map(({ path }) => path)).toEqual(paths);
  });

  test("is not taken from a folder that holds another size", async () => {
    const paths = await Promise.all(shards.map((name) => put(`models/GLM-4.7-GGUF/${name}`, name)));
    expect((await findModel(ref, options)).shards.map(({ path }) => path)).toEqual(paths);
    await put(`models/GLM-4.7-GGUF/${shards[1]}`, "cut off");
    await expect(findModel(ref, options)).rejects.toMatchObject({
      code: "model-missing",
      message: expect.stringContaining(`${paths[1]} has 7 bytes, but had ${shards[1]?.length} at the commit in use`),
    });
  });
});

describe("llama.cpp's own cache", () => {
  beforeEach(() => {
    options = { ...options, llamaCache: join(dir, "llama.cpp") };
  });

  test("holds a model in one folder, as b7698 names the files", async () => {
    const names = shards.map((name) => `unsloth_GLM-4.7-GGUF_${name.replace("/", "_")}`);
    const paths = await Promise.all(names.map((name) => put(`llama.cpp/${name}`)));
    await put(`llama.cpp/${names[0]}.etag`);
    await put("llama.cpp/unsloth_GLM-4.7-GGUF_GLM-4.7-Q8_0.gguf.downloadInProgress");
    await put("llama.cpp/unsloth_Other-GGUF_Other-UD-Q2_K_XL.gguf");
    const found = await findModel(ref, options);
    expect(found.shards.map(({ path }) => path)).toEqual(paths);
    expect(found.source).toBe("llama.cpp cache");
    expect((await findModel({ hf: ref.hf, file: shards[0] ?? "" }, options)).shards).toHaveLength(3);
    await expect(findModel({ ...ref, quant: "Q8_0" }, options)).rejects.toMatchObject({ code: "model-missing" });
  });

  test("holds a model in the Hub's layout, as v0.5.0 does with LLAMA_CACHE", async () => {
    const paths = await putCached(shards);
    await rename(join(dir, "hub"), join(dir, "llama.cpp"));
    const found = await findModel(ref, options);
    expect(found.source).toBe("llama.cpp cache");
    expect(found.shards.map(({ path }) => path)).toEqual(paths.map((path) => path.replace("/hub/", "/llama.cpp/")));
  });
});

describe("names that no file can have", () => {
  const long = `${"n".repeat(300)}.gguf`;
  test.each<[string, ModelRef]>([
    ["a path", `/models/${long}`],
    ["a path of 99,999 shards", "/models/a-00001-of-99999.gguf"],
    ["a repository", { hf: `owner/${"n".repeat(300)}`, quant: "Q4_K_M" }],
    ["a file of a repository", { hf: "owner/repo", file: long }],
  ])("%s is missing, with a typed error", async (_, model) => {
    const error: unknown = await findModel(model, { ...options, llamaCache: join(dir, "llama") }).catch(
      (thrown: unknown) => thrown,
    );
    expect(["model-missing", "too-many-shards"]).toContain((error as LlmctlError).code);
    expect((error as LlmctlError).message.length).toBeLessThan(1000);
  });
});

test("a folder of models with a cycle of links is searched once", async () => {
  await mkdir(join(dir, "models/GLM-4.7-GGUF"), { recursive: true });
  for (const name of ["a", "b"]) await symlink(".", join(dir, "models/GLM-4.7-GGUF", name));
  await put("models/GLM-4.7-GGUF/GLM-4.7-UD-Q2_K_XL.gguf");
  expect((await findModel(ref, options)).shards).toHaveLength(1);
});
