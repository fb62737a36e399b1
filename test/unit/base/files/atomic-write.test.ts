import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createFileAtomic, replaceFileAtomic, writeFileAtomic } from "../../../../src/base/files/atomic-write.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-test-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** Content whose source fails after some bytes have been written, as with a full disk. */
function breaksHalfway(): Uint8Array {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield Buffer.from("new, but only ha");
    throw new Error("disk full");
  }
  return chunks() as unknown as Uint8Array;
}

describe("writeFileAtomic", () => {
  test("writes the content, readable by its owner only", async () => {
    const path = join(folder, "state.json");
    await writeFileAtomic(path, "{}");
    expect(await readFile(path, "utf8")).toBe("{}");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test("makes missing folders for their owner only", async () => {
    const path = join(folder, "a/b/state.json");
    await writeFileAtomic(path, new Uint8Array([1, 2]));
    expect(await readFile(path)).toEqual(Buffer.from([1, 2]));
    expect((await stat(join(folder, "a/b"))).mode & 0o777).toBe(0o700);
  });

  test("a write that fails halfway leaves the old content and nothing beside it", async () => {
    const path = join(folder, "state.json");
    await writeFileAtomic(path, "old");
    await expect(writeFileAtomic(path, breaksHalfway())).rejects.toThrow("disk full");
    expect(await readFile(path, "utf8")).toBe("old");
    expect(await readdir(folder)).toEqual(["state.json"]);
  });

  test("a place that cannot be replaced is left as it is", async () => {
    const path = join(folder, "state.json");
    await mkdir(path);
    await writeFile(join(path, "inside"), "kept");
    await expect(writeFileAtomic(path, "new")).rejects.toThrow(/EISDIR|ENOTEMPTY|EEXIST/);
    expect(await readdir(folder)).toEqual(["state.json"]);
    expect(await readFile(join(path, "inside"), "utf8")).toBe("kept");
  });

  test("a reader sees whole content while several processes write", async () => {
    const path = join(folder, "state.json");
    const contents = ["a", "b", "c"].map((letter) => letter.repeat(300_000));
    await writeFileAtomic(path, contents[0] ?? "");
    const writes = contents.flatMap((content) => [1, 2, 3].map(() => writeFileAtomic(path, content)));
    const reads = Array.from({ length: 30 }, async () => contents.includes(await readFile(path, "utf8")));
    await Promise.all(writes);
    expect(await Promise.all(reads)).not.toContain(false);
    expect(await readdir(folder)).toEqual(["state.json"]);
  });
});

describe("createFileAtomic", () => {
  test("never takes the place of a file", async () => {
    const path = join(folder, "a/profile.yaml");
    await createFileAtomic(path, "mine", 0o644);
    await expect(createFileAtomic(path, "other")).rejects.toThrow("EEXIST");
    expect(await readFile(path, "utf8")).toBe("mine");
    expect(await readdir(join(folder, "a"))).toEqual(["profile.yaml"]);
  });
});

describe("replaceFileAtomic", () => {
  test("keeps the file's mode, whatever the umask", async () => {
    const path = join(folder, "profile.yaml");
    await writeFile(path, "old");
    await chmod(path, 0o666);
    await replaceFileAtomic(path, "new");
    expect(await readFile(path, "utf8")).toBe("new");
    expect((await stat(path)).mode & 0o777).toBe(0o666);
  });

  test("writes where a link leads, and leaves the link", async () => {
    await mkdir(join(folder, "dotfiles"));
    await writeFile(join(folder, "dotfiles/profile.yaml"), "old");
    const path = join(folder, "profile.yaml");
    await symlink("dotfiles/profile.yaml", path);
    await replaceFileAtomic(path, "new");
    expect((await lstat(path)).isSymbolicLink()).toBe(true);
    expect(await readFile(join(folder, "dotfiles/profile.yaml"), "utf8")).toBe("new");
  });

  test("does not create a missing file", async () => {
    await expect(replaceFileAtomic(join(folder, "gone.yaml"), "new")).rejects.toThrow("ENOENT");
    expect(await readdir(folder)).toEqual([]);
  });
});
