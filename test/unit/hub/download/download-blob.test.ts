import { writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { downloadBlob, type BlobDownload } from "../../../../src/hub/download/download-blob.ts";
import { Pool } from "../../../../src/hub/download/pool.ts";
import type { Transfer, TransferLimits } from "../../../../src/hub/download/transfer.ts";
import { RateLimit } from "../../../../src/hub/http/rate-limit.ts";
import { FakeFiles } from "../../../support/fake-files.ts";
import { connectionReset, FakeOrigin, inPieces } from "../../../support/fake-origin.ts";
import { sha256 } from "../../../support/hub-server.ts";

const content = Buffer.from("GGUF, 32 bytes of a first model.");
const other = Buffer.from("GGUF, 32 bytes of another model!");
const part = "blob.llmctl.incomplete";
const record = "blob.llmctl.ranges";
/** Four ranges, one after the other, each of two steps. */
const limits: TransferLimits = { connections: 1, files: 1, rangeBytes: 8, stepBytes: 4 };

let files: FakeFiles;
let origin: FakeOrigin;
let retries: [reason: string, delayMs: number][];
let bytes: number[];

beforeEach(async () => {
  files = await FakeFiles.create();
  origin = new FakeOrigin(content);
  retries = [];
  bytes = [];
});

afterEach(() => files[Symbol.asyncDispose]());

interface Changes {
  readonly digest?: string | undefined;
  readonly sizeBytes?: number;
  readonly limits?: Partial<TransferLimits>;
  readonly checkSpace?: () => Promise<void>;
  readonly rate?: RateLimit;
  readonly signal?: AbortSignal;
  readonly wait?: () => Promise<void>;
}

function download(changes: Changes = {}): Promise<string> {
  const { sizeBytes = content.length, checkSpace = async () => {}, rate } = changes;
  const { signal = new AbortController().signal, wait = async () => {} } = changes;
  const digest = "digest" in changes ? changes.digest : sha256(content);
  const all = { ...limits, ...changes.limits };
  const transfer: Transfer = {
    limits: all,
    buffers: new Pool(all.connections, () => Buffer.alloc(all.stepBytes)),
    rate,
    retries: { signal, wait, onRetry: (reason, delayMs) => void retries.push([reason, delayMs]) },
    noteBytes: () => {},
    checkSpace,
  };
  const what: BlobDownload = {
    url: "https://models.example/m.gguf?signature=secret",
    path: files.join("blob"),
    file: { name: "m.gguf", sizeBytes, digest },
    expected: { code: "other-content", content: "what was promised", fix: "look elsewhere" },
    hub: { signal, stallTimeoutMs: 60_000, fetch: origin.fetch },
    transfer,
    onBytes: (doneBytes) => void bytes.push(doneBytes),
    files: files.operations,
  };
  return downloadBlob(what);
}

/** The download ends with this content under its name, and nothing else. */
async function expectBlob(whole: Buffer): Promise<void> {
  expect(files.read()).toEqual({ blob: whole.toString("latin1") });
  expect(files.open).toEqual([]);
}

/** What an earlier run has left. */
async function leave(partText: string, recordText: string): Promise<void> {
  await writeFile(files.join(part), partText);
  await writeFile(files.join(record), recordText);
}

/** A body that sends three bytes, and then nothing until its request ends. */
async function* hangs(signal: AbortSignal): AsyncGenerator<Uint8Array> {
  yield content.subarray(0, 3);
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
  throw signal.reason;
}

describe("a download", () => {
  test("asks for one range after the other, all of the content of the first, and never for a coded one", async () => {
    expect(await download()).toBe(sha256(content));
    await expectBlob(content);
    expect(origin.requests.map(({ headers }) => headers)).toEqual([
      { "accept-encoding": "identity", range: "bytes=0-7" },
      { "accept-encoding": "identity", range: "bytes=8-15", "if-range": '"one"' },
      { "accept-encoding": "identity", range: "bytes=16-23", "if-range": '"one"' },
      { "accept-encoding": "identity", range: "bytes=24-31", "if-range": '"one"' },
    ]);
    expect(retries).toEqual([]);
  });

  test("tells how many bytes there are, from those of the start on", async () => {
    await leave(content.toString().slice(0, 8), "\n0 8");
    await download({ limits: { rangeBytes: 12 } });
    expect(bytes).toEqual([8, 11, 14, 17, 20, 23, 26, 29, 32]);
  });

  test("asks for a small file as a whole", async () => {
    await download({ limits: { rangeBytes: 32 } });
    await expectBlob(content);
    expect(origin.requests.map(({ headers }) => headers)).toEqual([{ "accept-encoding": "identity" }]);
  });

  test("of a whole file that breaks off is continued with a range of the same content", async () => {
    origin.answers = [(asked) => origin.answer(asked, { body: inPieces(content.subarray(0, 13), connectionReset()) })];
    await download({ limits: { rangeBytes: 32 } });
    await expectBlob(content);
    expect(origin.requests.map(({ headers }) => headers)).toEqual([
      { "accept-encoding": "identity" },
      { "accept-encoding": "identity", range: "bytes=13-31", "if-range": '"one"' },
    ]);
  });

  test("asks for several ranges at once, as many as there are connections", async () => {
    let now = 0;
    let most = 0;
    const counted = async function* (body: Uint8Array) {
      most = Math.max(most, (now += 1));
      yield* inPieces(body);
      now -= 1;
    };
    origin.answers = Array.from({ length: 4 }, () => (asked) => {
      const body = counted(content.subarray(asked.start, asked.end));
      return origin.answer(asked, { body });
    });
    await download({ limits: { connections: 3 } });
    await expectBlob(content);
    expect(most).toBe(3);
  });

  test("does not become millions of requests for a server that announces a huge file", async () => {
    origin.answers = [(asked) => origin.answer(asked, { status: 404 })];
    await expect(download({ sizeBytes: 40_001, limits: { rangeBytes: 1 } })).rejects.toMatchObject({
      code: "hub-not-found",
    });
    expect(origin.ranges).toEqual(["0-2"]);
  });

  test("keeps to the rate of all connections", async () => {
    const waits: number[] = [];
    const rate = new RateLimit(
      1000,
      async (ms) => void waits.push(ms),
      () => 0,
    );
    await download({ rate, limits: { rangeBytes: 32 } });
    expect(waits).toEqual([3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 32]);
  });
});

describe("a download that was interrupted", () => {
  test("is resumed: only missing bytes are asked for", async () => {
    await leave(content.toString().slice(0, 20), '\netag "one"\n0 4\n10 20');
    await download();
    await expectBlob(content);
    expect(origin.ranges).toEqual(["4-9", "20-27", "28-31"]);
    expect(origin.requests.map(({ headers }) => headers["if-range"])).toEqual(['"one"', '"one"', '"one"']);
  });

  test("that had all bytes needs no request", async () => {
    await leave(content.toString(), "\n0 32");
    expect(await download()).toBe(sha256(content));
    await expectBlob(content);
    expect(origin.requests).toEqual([]);
  });

  test("is resumed without a digest when the ETag vouches for the bytes", async () => {
    await leave(content.toString().slice(0, 16), '\netag "one"\n0 16');
    expect(await download({ digest: undefined })).toBe(sha256(content));
    await expectBlob(content);
    expect(origin.ranges).toEqual(["16-23", "24-31"]);
  });

  test("starts over when neither a digest nor an ETag vouches for the bytes", async () => {
    await leave(other.toString().slice(0, 16), "\n0 16");
    expect(await download({ digest: undefined })).toBe(sha256(content));
    await expectBlob(content);
    expect(origin.ranges).toEqual(["0-7", "8-15", "16-23", "24-31"]);
  });

  test("is fetched anew when its record names bytes that were never written", async () => {
    await leave(`${content.toString().slice(0, 8)}${"\0".repeat(8)}${content.toString().slice(16)}`, "\n0 32");
    await download();
    await expectBlob(content);
    expect(retries).toEqual([['"m.gguf" arrived with content that is not what was promised', 0]]);
    expect(origin.ranges).toEqual(["0-7", "8-15", "16-23", "24-31"]);
  });

  test("starts over with the new content when the old one is gone from the server", async () => {
    await leave(other.toString().slice(0, 16), '\netag "old"\n0 16');
    expect(await download({ digest: undefined })).toBe(sha256(content));
    await expectBlob(content);
    expect(origin.ranges).toEqual(["16-23", "0-7", "8-15", "16-23", "24-31"]);
    expect(retries).toEqual([['the server sent the whole file instead of a range; starting "m.gguf" over', 0]]);
  });
});

describe("an answer for the second range", () => {
  /** The first range gets a correct answer, the second the given one. */
  function answerSecond(answer: (typeof origin.answers)[number]): void {
    origin.answers = [origin.answerRightly, answer];
  }

  test.each([
    ["begins elsewhere", "bytes 9-15/32"],
    ["ends elsewhere", "bytes 8-14/32"],
    ["is of a file of another size", "bytes 8-15/33"],
    ["is of a file of unknown size", "bytes 8-15/*"],
    ["is of other units", "byte 8-15/32"],
    ["has no place", null],
  ])("that %s is asked for again: %s", async (_, sent) => {
    answerSecond((asked) => origin.answer(asked, { headers: { "content-range": sent }, body: Buffer.alloc(8, "x") }));
    await download();
    await expectBlob(content);
    expect(origin.ranges).toEqual(["0-7", "8-15", "8-15", "16-23", "24-31"]);
    expect(retries).toEqual([
      [`the server sent "${sent ?? "no content-range"}", which is not the requested range`, 1000],
    ]);
  });

  test.each([
    ["ends early", undefined, "the answer ended 3 bytes early"],
    ["breaks off", connectionReset(), "read ECONNRESET"],
  ])("that %s is continued behind the bytes that came", async (_, error, reason) => {
    answerSecond((asked) => origin.answer(asked, { body: inPieces(content.subarray(8, 13), error) }));
    await download();
    await expectBlob(content);
    expect(origin.ranges).toEqual(["0-7", "8-15", "13-15", "16-23", "24-31"]);
    expect(retries).toEqual([[reason, 1000]]);
  });

  test("that is empty is asked for again", async () => {
    answerSecond((asked) => origin.answer(asked, { body: Buffer.alloc(0) }));
    await download();
    await expectBlob(content);
    expect(retries).toEqual([["the answer ended 8 bytes early", 1000]]);
  });

  test.each([416, 429, 500, 503])("of status %d is asked for again", async (status) => {
    answerSecond((asked) => origin.answer(asked, { status }));
    await download();
    await expectBlob(content);
    expect(origin.ranges).toEqual(["0-7", "8-15", "8-15", "16-23", "24-31"]);
    expect(retries).toEqual([[`models.example answered ${status}`, 1000]]);
  });

  test("that is longer than the range ends the use of ranges", async () => {
    answerSecond((asked) => origin.answer(asked, { body: content.subarray(8, 18) }));
    await download();
    await expectBlob(content);
    expect(origin.ranges).toEqual(["0-7", "8-15", "whole"]);
    expect(retries).toEqual([['the server sends more than the 32 bytes listed; starting "m.gguf" over', 0]]);
  });

  test("that is the whole of other content starts over, with ranges of that content", async () => {
    origin.content = other;
    answerSecond((asked) => {
      origin.content = content;
      origin.etag = '"two"';
      return origin.answer({ ...asked, start: 0, end: 32, isRange: false });
    });
    await download();
    await expectBlob(content);
    expect(origin.requests.map(({ headers }) => [headers["range"], headers["if-range"]])).toEqual([
      ["bytes=0-7", undefined],
      ["bytes=8-15", '"one"'],
      ["bytes=0-7", undefined],
      ["bytes=8-15", '"two"'],
      ["bytes=16-23", '"two"'],
      ["bytes=24-31", '"two"'],
    ]);
  });

  test("that is the whole file, again and again, ends the use of ranges", async () => {
    const whole: (typeof origin.answers)[number] = (asked) =>
      origin.answer({ ...asked, start: 0, end: 32, isRange: false });
    origin.answers = [origin.answerRightly, whole, origin.answerRightly, whole];
    await download();
    await expectBlob(content);
    expect(origin.ranges).toEqual(["0-7", "8-15", "0-7", "8-15", "whole"]);
  });

  test("that is the whole file of a server without ETags ends the use of ranges at once", async () => {
    origin.etag = null;
    answerSecond((asked) => origin.answer({ ...asked, start: 0, end: 32, isRange: false }));
    await download();
    await expectBlob(content);
    expect(origin.ranges).toEqual(["0-7", "8-15", "whole"]);
  });

  test("that no retry will mend is an error, and the bytes before it are kept", async () => {
    // The first refusal could be that of a signed address that has expired.
    answerSecond((asked) => origin.answer(asked, { status: 404 }));
    origin.answers.push((asked) => origin.answer(asked, { status: 404 }));
    await expect(download()).rejects.toMatchObject({ code: "hub-not-found", exit: "missingFile" });
    expect(files.read()).toEqual({
      [part]: "GGUF, 32",
      [record]: '\netag "one"\n0 4\n0 8'.replace("0 8", "4 8"),
    });
    expect(files.open).toEqual([]);
  });

  test("that fails ends the requests for other ranges", async () => {
    origin.answers = [
      (asked) => origin.answer(asked, { body: hangs(asked.signal) }),
      (asked) => origin.answer(asked, { status: 404 }),
      (asked) => origin.answer(asked, { status: 404 }),
    ];
    await expect(download({ limits: { connections: 2 } })).rejects.toMatchObject({ code: "hub-not-found" });
    expect(origin.ranges).toEqual(["0-7", "8-15", "8-15"]);
    expect(files.read()[part]).toBe("GGU");
    expect(files.open).toEqual([]);
  });

  test("is asked for six times in a row, then the failure is told and the bytes are kept", async () => {
    origin.answers = [
      origin.answerRightly,
      ...Array.from({ length: 6 }, () => () => Promise.reject(connectionReset())),
    ];
    await expect(download()).rejects.toMatchObject({ name: "TransientError", message: "read ECONNRESET" });
    expect(retries.map(([, delayMs]) => delayMs)).toEqual([1000, 2000, 4000, 8000, 16_000]);
    expect(origin.requests).toHaveLength(7);
    expect(files.read()).toMatchObject({ [part]: "GGUF, 32" });
  });

  test("may fail often, as long as each one brings bytes", async () => {
    const brings = (asked: Parameters<(typeof origin.answers)[number]>[0]) =>
      origin.answer(asked, { body: inPieces(content.subarray(asked.start, asked.start + 3), connectionReset()) });
    origin.answers = Array.from({ length: 9 }, () => brings);
    await download({ limits: { rangeBytes: 32 } });
    await expectBlob(content);
    expect(retries.map(([, delayMs]) => delayMs)).toEqual(Array.from({ length: 9 }, () => 1000));
  });
});

describe("content that changes on the server", () => {
  /** A server that takes no notice of If-Range: ranges of the new content, in a 206 with its ETag. */
  function changeAfterFirst(etag: string | null): void {
    origin.content = other;
    origin.answers = [
      origin.answerRightly,
      (asked) => {
        origin.content = content;
        origin.etag = etag;
        return origin.answer({ ...asked, start: 8, end: 16, isRange: true });
      },
    ];
  }

  test.each(['"two"', 'W/"two"', null])(
    "is noticed by the ETag %s of a range when there is no digest, and fetched whole",
    async (etag) => {
      changeAfterFirst(etag);
      expect(await download({ digest: undefined })).toBe(sha256(content));
      await expectBlob(content);
      expect(origin.ranges).toEqual(["0-7", "8-15", "0-7", "8-15", "16-23", "24-31"]);
      expect(retries).toEqual([['the content has changed; starting "m.gguf" over', 0]]);
    },
  );

  test("is noticed by the digest, when there is one, and not by ETags, which differ between machines", async () => {
    origin.answers = ['"two"', '"three"'].map((etag) => (asked) => origin.answer(asked, { headers: { etag } }));
    origin.etag = '"two"';
    await download();
    await expectBlob(content);
    expect(retries).toEqual([]);
  });

  test("is asked for by the first strong ETag that a server sends", async () => {
    const etags = [null, 'W/"weak"', '"strong"', '"strong"'];
    origin.etag = '"strong"';
    origin.answers = etags.map((etag) => (asked) => origin.answer(asked, { headers: { etag } }));
    await download();
    expect(origin.requests.map(({ headers }) => headers["if-range"])).toEqual([
      undefined,
      undefined,
      undefined,
      '"strong"',
    ]);
  });
});

describe("a server that never gives what is listed", () => {
  test("is given up after five starts when it always sends too much", async () => {
    origin.answers = Array.from(
      { length: 20 },
      () => (asked) => origin.answer(asked, { body: Buffer.concat([content, content]) }),
    );
    await expect(download()).rejects.toMatchObject({
      name: "TransientError",
      message: "the server sends more than the 32 bytes listed",
    });
    expect(origin.ranges).toEqual(["0-7", "whole", "whole", "whole", "whole", "whole"]);
    expect(retries).toHaveLength(5);
    expect(files.open).toEqual([]);
  });

  test("gets a second chance after a wrong digest", async () => {
    origin.answers = [origin.answerRightly, (asked) => origin.answer(asked, { body: Buffer.from("32bytes?") })];
    expect(await download()).toBe(sha256(content));
    await expectBlob(content);
    expect(origin.ranges).toEqual(["0-7", "8-15", "16-23", "24-31", "0-7", "8-15", "16-23", "24-31"]);
    expect(origin.requests[4]?.headers).not.toHaveProperty("if-range");
    expect(retries).toEqual([['"m.gguf" arrived with content that is not what was promised', 0]]);
    expect(bytes).toContain(0);
  });

  test("is an error after a second wrong digest, and nothing is kept", async () => {
    origin.content = other;
    await expect(download()).rejects.toMatchObject({
      code: "other-content",
      message: `"m.gguf" arrived twice with content that is not what was promised (digest ${sha256(content)})`,
      exit: "missingFile",
      at: "https://models.example/m.gguf",
      fix: "look elsewhere",
    });
    expect(origin.requests).toHaveLength(8);
    expect(files.read()).toEqual({});
    expect(files.open).toEqual([]);
  });

  test("is an error when it twice sends what is no model, and nothing is kept", async () => {
    origin.content = Buffer.from("<!DOCTYPE html>Please log in now");
    await expect(download({ digest: undefined })).rejects.toMatchObject({
      code: "other-content",
      message: '"m.gguf" arrived twice with content that is not what was promised',
    });
    expect(origin.requests).toHaveLength(8);
    expect(files.read()).toEqual({});
  });
});

describe("a disk", () => {
  const full = Object.assign(new Error("no space"), { code: "no-space" });

  test("that gets full is noticed before the next range, whose request is not sent", async () => {
    let looks = 0;
    const checkSpace = async () => {
      if (++looks === 3) throw full;
    };
    await expect(download({ checkSpace })).rejects.toBe(full);
    expect(origin.ranges).toEqual(["0-7", "8-15"]);
    expect(files.read()[part]).toBe(content.toString().slice(0, 16));
    expect(files.open).toEqual([]);
  });

  test("that refuses a write ends the download, which later goes on behind the bytes before it", async () => {
    let writes = 0;
    files.fault = (operation) => (operation === `write ${part}` && ++writes === 4 ? "ENOSPC" : undefined);
    await expect(download()).rejects.toMatchObject({ code: "ENOSPC" });
    expect(files.open).toEqual([]);
    files.fault = () => undefined;
    origin.requests.length = 0;
    bytes = [];
    await download();
    await expectBlob(content);
    expect(origin.ranges).toEqual(["12-19", "20-27", "28-31"]);
    expect([Math.min(...bytes), Math.max(...bytes)]).toEqual([12, 32]);
  });

  test("that loses its power has the whole file or none under its name", async () => {
    await download();
    for (const { afterCut } of files.steps)
      for (const left of afterCut) expect([undefined, content.toString()]).toContain(left["blob"]);
    expect(files.journal.slice(-4)).toEqual([`sync ${part}`, `rename ${part} blob`, `rm ${record}`, "sync ."]);
  });

  test("that has lost its power at any step, but kept the names, gets the whole file later", async () => {
    const large = { limits: { rangeBytes: 32, stepBytes: 16 } };
    await download(large);
    const steps = files.steps.length;
    for (let cut = 0; cut <= steps; cut += 1) {
      await files[Symbol.asyncDispose]();
      files = await FakeFiles.create();
      files.fault = (_, n) => (n >= cut ? "EIO" : undefined);
      await download(large).catch(() => {});
      files.fault = () => undefined;
      files.cutPower({ keepsNames: true });
      await download(large);
      expect(files.read()["blob"]).toBe(content.toString());
    }
  });
});

test("an interruption while a retry waits sends no other request", async () => {
  const stop = new AbortController();
  const reason = new Error("Ctrl-C");
  origin.answers = [() => Promise.reject(connectionReset())];
  const wait = async () => stop.abort(reason);
  await expect(download({ signal: stop.signal, wait })).rejects.toBe(reason);
  expect(origin.ranges).toEqual(["0-7"]);
});

test("an interruption ends the download with its reason, and keeps the bytes so far", async () => {
  const stop = new AbortController();
  const reason = new Error("Ctrl-C");
  origin.answers = [
    origin.answerRightly,
    (asked) => {
      setImmediate(() => stop.abort(reason));
      return origin.answer(asked, { body: hangs(asked.signal) });
    },
  ];
  await expect(download({ signal: stop.signal })).rejects.toBe(reason);
  expect(files.read()[part]).toBe("GGUF, 32GGU");
  expect(origin.ranges).toEqual(["0-7", "8-15"]);
  expect(files.open).toEqual([]);
});
