import { createHash } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { RunningDigest } from "../../../../src/hub/download/running-digest.ts";
import { gitBlobId, sha256 } from "../../../support/hub-server.ts";

const mebibyte = 2 ** 20;
/** Each byte tells its place. */
const content = Buffer.alloc(3 * mebibyte + 5, createHash("sha512").update("content").digest());
for (let i = 0; i < content.length; i += 1000) content.writeUInt32LE(i, Math.min(i, content.length - 4));

/** A file of which reads are answered by hand, or at once. */
class ManualFile {
  /** The offset and length of each read so far. */
  readonly reads: [number, number][] = [];
  readonly #waiting: (() => void)[] = [];
  readonly #options: { readonly byHand?: boolean; readonly most?: number; readonly failAt?: number };

  constructor(options: { byHand?: boolean; most?: number; failAt?: number } = {}) {
    this.#options = options;
  }

  readonly read = (async (into: Buffer, at: number, length: number, offset: number) => {
    const { byHand = false, most = Infinity, failAt = Infinity } = this.#options;
    this.reads.push([offset, length]);
    if (byHand) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (offset >= failAt) throw Object.assign(new Error("EIO: the disk is broken"), { code: "EIO" });
    return { bytesRead: content.copy(into, at, offset, offset + Math.min(length, most)), buffer: into };
  }) as never;

  /** Answers all reads that wait. */
  async answer(): Promise<void> {
    for (const resolve of this.#waiting.splice(0)) resolve();
    await nextTurn();
  }
}

const of = { digest: sha256(content), sizeBytes: content.length };

describe("the digest of a file that is being written", () => {
  test("is that of the bytes before the first missing one", async () => {
    const digest = new RunningDigest(new ManualFile(), of);
    expect(await digest.finish()).toBe(sha256(Buffer.alloc(0)));
    for (const front of [1, 2, mebibyte, mebibyte + 1, content.length]) {
      digest.advance(front);
      expect(await digest.finish()).toBe(sha256(Buffer.from(content.subarray(0, front))));
    }
  });

  test("reads each byte once, a mebibyte at a time, and the next piece while it hashes one", async () => {
    const file = new ManualFile();
    const digest = new RunningDigest(file, of);
    digest.advance(content.length);
    expect(await digest.finish()).toBe(of.digest);
    expect(file.reads).toEqual([
      [0, mebibyte],
      [mebibyte, mebibyte],
      [2 * mebibyte, mebibyte],
      [3 * mebibyte, 5],
    ]);
  });

  test("follows a front that moves while it reads", async () => {
    const file = new ManualFile({ byHand: true });
    const digest = new RunningDigest(file, of);
    digest.advance(10);
    digest.advance(2 * mebibyte);
    digest.advance(7);
    digest.advance(content.length);
    const found = digest.finish();
    for (let turn = 0; turn < 4; turn += 1) await file.answer();
    expect(await found).toBe(of.digest);
    expect(file.reads.map(([offset]) => offset)).toEqual([0, 10, mebibyte + 10, 2 * mebibyte + 10]);
  });

  test("goes on after a read of fewer bytes than were asked for", async () => {
    const digest = new RunningDigest(new ManualFile({ most: 700_000 }), of);
    digest.advance(content.length);
    expect(await digest.finish()).toBe(of.digest);
  });

  test("can be asked for in between, and goes on", async () => {
    const digest = new RunningDigest(new ManualFile(), of);
    digest.advance(5);
    await digest.finish();
    digest.advance(5);
    await digest.finish();
    digest.advance(content.length);
    expect(await digest.finish()).toBe(of.digest);
  });

  test("is git's own for a file that the Hub keeps in git", async () => {
    const digest = new RunningDigest(new ManualFile(), { digest: gitBlobId(content), sizeBytes: content.length });
    digest.advance(content.length);
    expect(await digest.finish()).toBe(gitBlobId(content));
  });

  test("is sha256 where none is published", async () => {
    const digest = new RunningDigest(new ManualFile(), { digest: undefined, sizeBytes: content.length });
    digest.advance(content.length);
    expect(await digest.finish()).toBe(of.digest);
  });
});

describe("a read that fails", () => {
  test.each([0, mebibyte, 3 * mebibyte])("at byte %d makes the digest fail with its error", async (failAt) => {
    const digest = new RunningDigest(new ManualFile({ failAt }), of);
    digest.advance(content.length);
    await expect(digest.finish()).rejects.toMatchObject({ code: "EIO" });
    await digest.stop();
  });

  test("before more bytes arrive is not forgotten over them", async () => {
    const digest = new RunningDigest(new ManualFile({ failAt: 0 }), of);
    digest.advance(5);
    await expect(digest.finish()).rejects.toMatchObject({ code: "EIO" });
    digest.advance(content.length);
    await expect(digest.finish()).rejects.toMatchObject({ code: "EIO" });
  });

  test("because the file has become shorter makes the digest fail", async () => {
    const digest = new RunningDigest(new ManualFile(), of);
    digest.advance(content.length + 1);
    await expect(digest.finish()).rejects.toThrow(
      `the file ends at byte ${content.length}, before byte ${content.length + 1}`,
    );
  });
});

describe("stop", () => {
  test("returns at once when nothing is read", async () => {
    const file = new ManualFile({ byHand: true });
    await new RunningDigest(file, of).stop();
    expect(file.reads).toEqual([]);
  });

  test("returns after the reads that are under way, and starts no other", async () => {
    const file = new ManualFile({ byHand: true });
    const digest = new RunningDigest(file, of);
    digest.advance(content.length);
    let hasStopped = false;
    const stopped = digest.stop().then(() => (hasStopped = true));
    await nextTurn();
    expect(hasStopped).toBe(false);
    await file.answer();
    await file.answer();
    await stopped;
    expect(file.reads).toEqual([[0, mebibyte]]);
  });
});
