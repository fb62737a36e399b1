import { createHash } from "node:crypto";
import { link, rm, symlink, writeFile } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PartFile } from "../../../../src/hub/download/part-file.ts";
import type { RemoteFile } from "../../../../src/hub/http/remote-file.ts";
import { FakeFiles } from "../../../support/fake-files.ts";

const content = "GGUF and sixteen";
const of: RemoteFile = { name: "m.gguf", sizeBytes: content.length, digest: sha256(content) };
const part = "blob.llmctl.incomplete";
const record = "blob.llmctl.ranges";

let files: FakeFiles;

beforeEach(async () => {
  files = await FakeFiles.create();
});

afterEach(() => files[Symbol.asyncDispose]());

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function openPart(file: RemoteFile = of): Promise<PartFile> {
  return PartFile.open(files.join("blob"), file, files.operations);
}

/** Writes a range of the content, or other bytes, and records it. */
async function write(to: PartFile, start: number, end: number, text = content.slice(start, end)): Promise<void> {
  const writer = to.writeFrom(start, Buffer.alloc(64));
  await writer.push(Buffer.from(text));
  await writer.flush();
}

/** What an earlier run has left. */
async function leave(partText: string, recordText: string): Promise<void> {
  await writeFile(files.join(part), partText);
  await writeFile(files.join(record), recordText);
}

describe("a new part", () => {
  test("has no bytes, and lacks all of them", async () => {
    const opened = await openPart();
    expect({ done: opened.doneBytes, missing: opened.missing, etag: opened.etag }).toEqual({
      done: 0,
      missing: [{ start: 0, end: 16 }],
      etag: undefined,
    });
    expect(await opened.isIntact()).toBe(false);
    await opened.close();
    expect(files.open).toEqual([]);
  });

  test.each(['\netag "a"\n0 16', '\netag "a"'])(
    "has no use for a record that has outlived its part: %j",
    async (text) => {
      await writeFile(files.join(record), text);
      const opened = await openPart();
      expect([opened.doneBytes, opened.etag]).toEqual([0, undefined]);
      await opened.close();
      expect(files.read()).toEqual({ [part]: "", [record]: "" });
    },
  );
});

describe("a part of an earlier run", () => {
  test("goes on with the bytes and the ETag of its record", async () => {
    await leave(content.slice(0, 8), '\netag "a"\n0 4\n6 8');
    const opened = await openPart();
    expect({ done: opened.doneBytes, missing: opened.missing, etag: opened.etag }).toEqual({
      done: 6,
      missing: [
        { start: 4, end: 6 },
        { start: 8, end: 16 },
      ],
      etag: '"a"',
    });
    await write(opened, 4, 6);
    await write(opened, 8, 16);
    expect(await opened.isIntact()).toBe(true);
    await opened.close();
    expect(files.read()).toEqual({ [part]: content, [record]: '\netag "a"\n0 4\n6 8\n4 6\n8 16' });
  });

  test.each([
    ["is longer than the file", `${content}!`, "\n0 16"],
    ["ends before a byte that its record names", content.slice(0, 15), '\netag "a"\n0 16'],
    ["is empty, but has a record", "", "\n0 4\n12 16"],
  ])("starts over when it %s", async (_, partText, recordText) => {
    await leave(partText, recordText);
    const opened = await openPart();
    expect([opened.doneBytes, opened.etag]).toEqual([0, undefined]);
    await opened.close();
    expect(files.read()).toEqual({ [part]: "", [record]: "" });
  });

  test("may be as long as the file, with bytes missing in between", async () => {
    await leave(content, "\n12 16");
    const opened = await openPart();
    expect(opened.missing).toEqual([{ start: 0, end: 12 }]);
    await opened.close();
  });

  test("starts over when its record cannot be read as one", async () => {
    await leave(content, "hello\n16 0\n0 17");
    const opened = await openPart();
    expect(opened.doneBytes).toBe(0);
    await opened.close();
  });
});

describe("writing", () => {
  test("puts the bytes into the file before the record names them", async () => {
    const opened = await openPart();
    await write(opened, 0, 4);
    await opened.close();
    expect(files.journal).toEqual([
      `open ${part}`,
      `open ${record}`,
      `truncate ${record}`,
      `write ${part}`,
      `write ${record}`,
    ]);
  });

  test("waits for a whole step, or the end of the range, and counts gathered bytes as arrived", async () => {
    const opened = await openPart();
    const writer = opened.writeFrom(2, Buffer.alloc(4));
    const seen: unknown[] = [];
    const look = async () => seen.push([writer.offset, opened.doneBytes, files.read()[record]]);
    await writer.push(Buffer.from(content.slice(2, 5)));
    await look();
    await writer.push(Buffer.from(content.slice(5, 13)));
    await look();
    await writer.flush();
    await look();
    await writer.flush();
    await look();
    await opened.close();
    expect(seen).toEqual([
      [5, 3, ""],
      [13, 11, "\n2 6\n6 10"],
      [13, 11, "\n2 6\n6 10\n10 13"],
      [13, 11, "\n2 6\n6 10\n10 13"],
    ]);
    expect(files.read()[part]).toBe(`\0\0${content.slice(2, 13)}`);
  });

  test("goes on after a write of fewer bytes than were asked for", async () => {
    files.mostPerWrite = 3;
    const opened = await openPart();
    await write(opened, 0, 16);
    expect(await opened.isIntact()).toBe(true);
    await opened.close();
    expect(files.read()).toEqual({ [part]: content, [record]: "\n0 16" });
  });

  test.each([`write ${part}`, `write ${record}`])(
    "counts bytes as missing when the disk is full at: %s",
    async (operation) => {
      const opened = await openPart();
      await write(opened, 0, 4);
      files.fault = (attempted) => (attempted === operation ? "ENOSPC" : undefined);
      const writer = opened.writeFrom(4, Buffer.alloc(8));
      await writer.push(Buffer.from(content.slice(4, 9)));
      await expect(writer.flush()).rejects.toMatchObject({ code: "ENOSPC" });
      expect([writer.offset, opened.doneBytes]).toEqual([4, 4]);
      expect(opened.missing).toEqual([{ start: 4, end: 16 }]);
      files.fault = () => undefined;
      await writer.push(Buffer.from(content.slice(4)));
      await writer.flush();
      expect(opened.doneBytes).toBe(16);
      expect(await opened.isIntact()).toBe(true);
      await opened.close();
    },
  );
});

describe("the digest", () => {
  test("is that of the bytes in order, in whatever order they come", async () => {
    const opened = await openPart();
    for (const start of [8, 4, 12, 0]) await write(opened, start, start + 4);
    expect(await opened.digest()).toBe(sha256(content));
    expect(await opened.isIntact()).toBe(true);
    await opened.close();
  });

  test("of the first bytes is known before the others are there", async () => {
    await leave(content.slice(0, 8), "\n0 8");
    const opened = await openPart();
    expect(await opened.digest()).toBe(sha256(content.slice(0, 8)));
    expect(await opened.isIntact()).toBe(false);
    await opened.close();
  });

  test("shows that a whole file is a wrong one", async () => {
    const opened = await openPart();
    await write(opened, 0, 16, "GGUF but another");
    expect(await opened.isIntact()).toBe(false);
    await opened.close();
  });

  test.each([
    [content, true],
    ["GGUf and sixteen", false],
    ["<!DOCTYPE html> ", false],
  ])("when none is published, the first bytes decide: %j", async (text, isRight) => {
    const opened = await openPart({ ...of, digest: undefined });
    await write(opened, 0, 8, text.slice(0, 8));
    expect(await opened.isIntact()).toBe(false);
    await write(opened, 8, 16, text.slice(8));
    expect(await opened.isIntact()).toBe(isRight);
    await opened.close();
  });
});

describe("while the digest reads the file", () => {
  let read: () => void = () => {};
  beforeEach(() => {
    files.readable = new Promise<void>((resolve) => (read = resolve));
  });

  test("the file is not closed", async () => {
    const opened = await openPart();
    await write(opened, 0, 16);
    const closed = opened.close();
    await nextTurn();
    expect(files.open).toEqual([part, record]);
    read();
    await closed;
    expect(files.open).toEqual([]);
  });

  test("the file is not emptied to start over", async () => {
    const opened = await openPart();
    await write(opened, 0, 16);
    const begun: string[] = [];
    files.fault = (operation) => void begun.push(operation);
    const restarted = opened.restart();
    await nextTurn();
    expect(begun).toEqual([]);
    read();
    await restarted;
    expect(begun).toEqual([`truncate ${record}`, `truncate ${part}`]);
    await opened.close();
  });
});

describe("starting over", () => {
  test("empties the record before the file, and then counts, hashes and records anew", async () => {
    const opened = await openPart();
    await opened.setEtag('"a"');
    await write(opened, 0, 16, "GGUF but another");
    files.steps.length = 0;
    await opened.restart();
    expect(files.journal).toEqual([`truncate ${record}`, `truncate ${part}`]);
    expect(files.read()).toEqual({ [part]: "", [record]: "" });
    expect({ done: opened.doneBytes, missing: opened.missing, etag: opened.etag }).toEqual({
      done: 0,
      missing: [{ start: 0, end: 16 }],
      etag: undefined,
    });
    await write(opened, 0, 16);
    expect(await opened.isIntact()).toBe(true);
    await opened.close();
  });
});

describe("the end", () => {
  test("gives the file its name after its bytes are synced, and syncs the folder last", async () => {
    const opened = await openPart();
    await write(opened, 0, 16);
    files.steps.length = 0;
    await opened.publish();
    await opened.close();
    expect(files.journal).toEqual([`sync ${part}`, `rename ${part} blob`, `rm ${record}`, "sync ."]);
    expect(files.read()).toEqual({ blob: content });
    expect(files.open).toEqual([]);
  });

  test("whenever the power fails, leaves the old file or the whole new one under its name", async () => {
    await using other = await FakeFiles.create({ blob: "an older file" });
    const opened = await PartFile.open(other.join("blob"), of, other.operations);
    await write(opened, 0, 16);
    await opened.publish();
    await opened.close();
    for (const { afterCut } of other.steps)
      for (const left of afterCut) expect(["an older file", content]).toContain(left["blob"]);
    expect(other.steps.at(-1)?.afterCut).toEqual([{ blob: content }, { blob: content }]);
  });

  test.each(["sync", "rename", "rm"])("keeps the part and its record when %s fails", async (verb) => {
    const opened = await openPart();
    await write(opened, 0, 16);
    files.fault = (operation) => (operation.startsWith(verb) ? "EIO" : undefined);
    await expect(opened.publish()).rejects.toMatchObject({ code: "EIO" });
    await opened.close();
    expect(files.read()).toEqual({ [verb === "rm" ? "blob" : part]: content, [record]: "\n0 16" });
    expect(files.open).toEqual([]);
  });

  test.each([false, true])("of a part that is discarded leaves nothing (it was gone before: %s)", async (isGone) => {
    const opened = await openPart();
    await write(opened, 0, 16);
    if (isGone) await rm(files.join(part));
    await opened.discard();
    await opened.close();
    expect(files.read()).toEqual({});
    expect(files.open).toEqual([]);
  });
});

describe("what somebody has put in the place of a part", () => {
  test.each([
    { what: "a symbolic link", plant: symlink, code: "not-a-file", name: part },
    { what: "a symbolic link", plant: symlink, code: "not-a-file", name: record },
    { what: "a hard link", plant: link, code: "linked-file", name: part },
    { what: "a hard link", plant: link, code: "linked-file", name: record },
  ])("or of its record is refused, and its target is unchanged: $what as $name", async ({ plant, code, name }) => {
    await writeFile(files.join("victim"), "precious");
    await plant(files.join("victim"), files.join(name));
    await expect(openPart()).rejects.toMatchObject({ code, at: files.join(name) });
    expect(files.read()["victim"]).toBe("precious");
    expect(files.open).toEqual([]);
  });

  test("a folder is the system's error", async () => {
    files.makeFolder(part);
    await expect(openPart()).rejects.toMatchObject({ code: "EISDIR" });
  });

  test.each(["EACCES", "EIO"])("the error %s of the disk is told, and no file stays open", async (code) => {
    for (const failing of [0, 1, 2]) {
      files.fault = (_, n) => (n === failing ? code : undefined);
      await expect(openPart()).rejects.toMatchObject({ code });
      await files[Symbol.asyncDispose]();
      expect(files.open).toEqual([]);
      files = await FakeFiles.create();
    }
  });
});
