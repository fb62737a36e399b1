import { mkdtemp, open, rm, symlink, writeFile } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bufferSource, handleSource, withFileSource } from "../../../src/gguf/byte-source.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-bytes-"));
  await writeFile(join(folder, "f"), "abcdef");
});
afterAll(() => rm(folder, { recursive: true }));

/** The opened file with some of its operations changed. */
function changed(handle: FileHandle, changes: Partial<FileHandle>): FileHandle {
  return Object.assign(Object.create(handle) as FileHandle, { stat: () => handle.stat(), ...changes });
}

describe("bytes in memory", () => {
  const source = bufferSource(Buffer.from("abcdef"), "m");

  test("fill what is asked for, from its offset on", async () => {
    const into = Buffer.alloc(3);
    await source.read(3, into);
    expect([source.name, source.sizeBytes, into.toString()]).toEqual(["m", 6, "def"]);
  });

  test("end where they end", async () => {
    await expect(source.read(4, Buffer.alloc(3))).rejects.toMatchObject({
      code: "truncated",
      message: "m became shorter than 7 bytes while it was read",
    });
  });
});

describe("a file", () => {
  test("is read in as many pieces as the system gives", async () => {
    const handle = await open(join(folder, "f"));
    const offsets: number[] = [];
    const read = (into: Uint8Array, at: number, _length: number, offset: number) => {
      offsets.push(offset);
      return handle.read(into, at, Math.min(2, into.length - at), offset);
    };
    const source = await handleSource(changed(handle, { read } as Partial<FileHandle>), "m");
    const into = Buffer.alloc(5);
    await source.read(1, into);
    await handle.close();
    expect([source.sizeBytes, into.toString(), offsets]).toEqual([6, "bcdef", [1, 3, 5]]);
  });

  test("that has become shorter is truncated", async () => {
    const handle = await open(join(folder, "f"));
    const source = await handleSource(handle, "m");
    await expect(source.read(4, Buffer.alloc(3))).rejects.toMatchObject({
      code: "truncated",
      message: "m became shorter than 7 bytes while it was read",
    });
    await handle.close();
  });

  test("that cannot be read names the byte and the reason", async () => {
    const handle = await open(join(folder, "f"));
    const cause = Object.assign(new Error("EIO: i/o error"), { code: "EIO" });
    const source = await handleSource(changed(handle, { read: () => Promise.reject(cause) }), "m");
    await expect(source.read(2, Buffer.alloc(3))).rejects.toMatchObject({
      code: "file-unreadable",
      message: "m cannot be read at byte 2: EIO",
      exit: "io",
      cause,
    });
    await handle.close();
  });

  test("is open for as long as it is used, and closed after a failure, too", async () => {
    let used: { read: (offset: number, into: Uint8Array) => Promise<void> } | undefined;
    const keep = (source: NonNullable<typeof used>) => {
      used = source;
      return source.read(0, Buffer.alloc(1));
    };
    await withFileSource(join(folder, "f"), keep);
    await expect(used?.read(0, Buffer.alloc(1))).rejects.toMatchObject({ code: "file-unreadable" });
    const failing = withFileSource(join(folder, "f"), async (source) => {
      await keep(source);
      throw new Error("of the user");
    });
    await expect(failing).rejects.toThrow("of the user");
    await expect(used?.read(0, Buffer.alloc(1))).rejects.toMatchObject({ code: "file-unreadable" });
  });

  test.each([
    ["gone", "file-missing", "does not exist", "missingFile"],
    ["f/below", "file-missing", "does not exist", "missingFile"],
    ["loop", "file-unreadable", "cannot be opened: ELOOP", "io"],
    [".", "not-gguf", "is a directory, not a GGUF file", "missingFile"],
  ])("%s: %s", async (name, code, why, exit) => {
    if (name === "loop") await symlink("loop", join(folder, "loop"));
    const path = join(folder, name);
    const reading = withFileSource(path, () => expect.unreachable());
    await expect(reading).rejects.toMatchObject({ code, message: `${path} ${why}`, exit });
  });

  test("that is none, but a device, is refused", async () => {
    await expect(withFileSource("/dev/null", () => expect.unreachable())).rejects.toMatchObject({
      code: "not-gguf",
      message: "/dev/null is not a regular file",
    });
  });
});
