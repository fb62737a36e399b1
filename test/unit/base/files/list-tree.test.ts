import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { listTree, treeLimits } from "../../../../src/base/files/list-tree.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-tree-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("links", () => {
  test("that lead in a circle end, however many there are", async () => {
    await writeFile(join(folder, "model.gguf"), "");
    // Followed up to the system's limit of 40 links, two of them would give 2^40 paths.
    for (const name of ["a", "b", "c"]) await symlink(".", join(folder, name));
    expect(await listTree(folder)).toEqual(["model.gguf"]);
  });

  test("to folders elsewhere are followed, and dangling links count as files", async () => {
    await mkdir(join(folder, "top/inner"), { recursive: true });
    await mkdir(join(folder, "elsewhere"));
    await writeFile(join(folder, "elsewhere/model.gguf"), "");
    await symlink("../elsewhere", join(folder, "top/link"));
    await symlink("nowhere", join(folder, "top/dead.gguf"));
    expect((await listTree(join(folder, "top"))).toSorted()).toEqual(["dead.gguf", "link/model.gguf"]);
  });
});

test.each([
  ["files", { entries: 3, depth: 9 }],
  ["folders in folders", { entries: 100, depth: 2 }],
])("a folder with too many %s is refused", async (_, limits) => {
  await mkdir(join(folder, "1/2/3"), { recursive: true });
  await writeFile(join(folder, "1/2/3/a"), "");
  await writeFile(join(folder, "1/2/3/b"), "");
  expect((await listTree(folder)).toSorted()).toEqual(["1/2/3/a", "1/2/3/b"]);
  await expect(listTree(folder, { ...treeLimits, ...limits })).rejects.toMatchObject({ code: "folder-too-large" });
});

test("a missing folder is the system's error", async () => {
  await expect(listTree(join(folder, "none"))).rejects.toMatchObject({ code: "ENOENT" });
});
