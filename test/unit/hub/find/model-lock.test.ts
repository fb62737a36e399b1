import { appendFile, chown, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
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

test("a lock that an earlier version wrote with the whole signed address still counts", async () => {
  const url = "https://models.example/m.gguf?signature=1";
  const files = [{ name: "m.gguf", sizeBytes: 1, digest: "b".repeat(64) }];
  await writeModelLock(folder, { url }, { files });
  await writeFile(await onlyPath(), JSON.stringify({ version: 1, ref: { url }, files }));
  expect(await readModelLock(folder, { url })).toEqual({ files });
});

test("only what a lock is for is written: no other keys of a listing, one name for any quant and file", async () => {
  const file = { name: "m.gguf", sizeBytes: 0, digest: "b".repeat(40), haveBytes: 7, version: "v" };
  await writeModelLock(folder, { hf: "o/r", file: "a/m.gguf" }, { commit: "a".repeat(40), files: [file] });
  expect(await readFile(await onlyPath(), "utf8")).toBe(
    `${JSON.stringify(
      {
        version: 1,
        ref: { hf: "o/r", file: "a/m.gguf", revision: "main" },
        commit: "a".repeat(40),
        files: [{ name: "m.gguf", sizeBytes: 0, digest: "b".repeat(40), version: "v" }],
      },
      undefined,
      2,
    )}\n`,
  );
  expect(await onlyPath()).toMatch(/\/o--r--a--m\.gguf-[0-9a-f]{12}\.json$/);
});

// Only root can give a file to another user.
test.runIf(process.getuid?.() === 0)(
  "a lock of another user is refused, since it decides what a server loads",
  async () => {
    await writeModelLock(folder, ref, lock);
    await chown(await onlyPath(), 65_534, 65_534);
    await expect(readModelLock(folder, ref)).rejects.toMatchObject({ code: "foreign-file", exit: "permission" });
  },
);

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
    ["with a commit in capitals", { ...good, commit: "A".repeat(40) }],
    ["with half a commit", { ...good, commit: "a".repeat(39) }],
    ["with a longer commit", { ...good, commit: "a".repeat(41) }],
    ["with a digest of another kind", { ...good, files: [{ ...lock.files[0], digest: "b".repeat(41) }] }],
    ["with a digest that is too long", { ...good, files: [{ ...lock.files[0], digest: "b".repeat(65) }] }],
    ["with a size that is no number of bytes", { ...good, files: [{ ...lock.files[0], sizeBytes: 1.5 }] }],
    ["of another quant", { ...good, ref: { ...good.ref, quant: "Q4_K_M" } }],
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

  test("that is larger than any", async () => {
    await writeModelLock(folder, ref, lock);
    await appendFile(await onlyPath(), " ".repeat(4 << 20));
    expect(await readModelLock(folder, ref)).toBeUndefined();
  });

  test("that is a link", async () => {
    await writeModelLock(folder, ref, lock);
    const path = await onlyPath();
    await rename(path, join(folder, "..", "elsewhere.json"));
    await symlink("../elsewhere.json", path);
    expect(await readModelLock(folder, ref)).toBeUndefined();
  });

  test("in a folder that is none", async () => {
    await writeFile(folder, "");
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
