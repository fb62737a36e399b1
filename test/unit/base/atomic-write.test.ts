import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { writeFileAtomic } from "../../../src/base/atomic-write.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-test-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** Content whose source breaks after some bytes have been written, as a full disk would. */
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

  test("a reader sees one whole content while several write", async () => {
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
