import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { modelLockFolder, readModelLock, writeModelLock, type ModelLock } from "../../../../src/hub/find/model-lock.ts";
import type { HubModelRef } from "../../../../src/profiles/schema/schema.ts";

const ref: HubModelRef = { hf: "unsloth/GLM-4.7-GGUF", quant: "UD-Q2_K_XL" };
const lock: ModelLock = {
  commit: "a".repeat(40),
  files: [{ name: "UD-Q2_K_XL/GLM-4.7-UD-Q2_K_XL.gguf", sizeBytes: 135e9, digest: "b".repeat(64) }],
};
let folder: string;

beforeEach(async () => {
  folder = modelLockFolder(await mkdtemp(join(tmpdir(), "llmctl-lock-")));
});

afterEach(async () => {
  await rm(join(folder, ".."), { recursive: true, force: true });
});

/** The path of the only lock. */
async function onlyPath(): Promise<string> {
  const names = await readdir(folder);
  expect(names).toHaveLength(1);
  return join(folder, names[0] ?? "");
}

test("each signed address has a lock of its own, without the signature", async () => {
  const signed = { url: "https://models.example/m.gguf?X-Amz-Signature=s3cret" };
  const files = [{ name: "m.gguf", sizeBytes: 1, digest: "b".repeat(64), version: undefined }];
  await writeModelLock(folder, signed, { files });
  expect(await readFile(await onlyPath(), "utf8")).not.toContain("s3cret");
  expect(await readModelLock(folder, signed)).toMatchObject({ files: [{ name: "m.gguf" }] });
  expect(await readModelLock(folder, { url: `${signed.url}x` })).toBeUndefined();
});

test("a reference keeps the commit and the files that it was locked to", async () => {
  await writeModelLock(folder, ref, lock);
  expect(await readModelLock(folder, ref)).toEqual(lock);
  expect(await readModelLock(folder, { quant: "UD-Q2_K_XL", revision: "main", hf: ref.hf })).toEqual(lock);
  expect(await onlyPath()).toMatch(/unsloth--GLM-4\.7-GGUF--UD-Q2_K_XL-[0-9a-f]{12}\.json$/);
});

test("another quant, file or revision has a lock of its own", async () => {
  await writeModelLock(folder, ref, lock);
  for (const other of [
    { ...ref, quant: "Q4_K_M" },
    { hf: ref.hf, file: "UD-Q2_K_XL" },
    { ...ref, revision: "v1" },
  ]) {
    expect(await readModelLock(folder, other)).toBeUndefined();
  }
});

test("an address is locked to the content that came from it, whatever digest a profile has", async () => {
  const url = "https://models.example/a/Tiny-Q8_0.gguf?key=secret";
  const came: ModelLock = {
    files: [{ name: "Tiny-Q8_0.gguf", sizeBytes: 7, digest: "b".repeat(64), version: '"v1"' }],
  };
  await writeModelLock(folder, { url }, came);
  expect(await readModelLock(folder, { url, sha256: "c".repeat(64) })).toEqual(came);
  expect(await readModelLock(folder, { url: `${url}2` })).toBeUndefined();
  expect(await onlyPath()).toMatch(/\/models\.example--a--Tiny-Q8_0\.gguf-[0-9a-f]{12}\.json$/);
});

describe("an invalid lock counts as missing", () => {
  const good = { version: 1, ref: { ...ref, revision: "main" }, ...lock };

  test.each([
    ["of a later version", { ...good, version: 2 }],
    ["of another reference", { ...good, ref: { ...good.ref, hf: "evil/GLM-4.7-GGUF" } }],
    ["without a commit", { ...good, commit: undefined }],
    ["with a commit that leads elsewhere", { ...good, commit: "../../../../etc" }],
    ["with a name that leads elsewhere", { ...good, files: [{ ...lock.files[0], name: "../../x.gguf" }] }],
    ["with an invalid digest", { ...good, files: [{ ...lock.files[0], digest: "../x" }] }],
    ["with an invalid size", { ...good, files: [{ ...lock.files[0], sizeBytes: -1 }] }],
    ["without files", { ...good, files: [] }],
  ])("%s", async (_, content) => {
    await writeModelLock(folder, ref, lock);
    await writeFile(await onlyPath(), JSON.stringify(content));
    expect(await readModelLock(folder, ref)).toBeUndefined();
  });

  test.each(["", "{", "null", "[]", "\0"])("with the content %j", async (content) => {
    await writeModelLock(folder, ref, lock);
    await writeFile(await onlyPath(), content);
    expect(await readModelLock(folder, ref)).toBeUndefined();
  });

  test("that is a folder", async () => {
    await writeModelLock(folder, ref, lock);
    const path = await onlyPath();
    await rm(path);
    await mkdir(path);
    expect(await readModelLock(folder, ref)).toBeUndefined();
  });
});
