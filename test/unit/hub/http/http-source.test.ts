import { describe, expect, test } from "vitest";
import { readHeaderFrom } from "../../../../src/gguf/read-header.ts";
import type { HubFetch } from "../../../../src/hub/http/http-get.ts";
import { openHttpSource, type HttpFile } from "../../../../src/hub/http/http-source.ts";
import { buildGguf, modelKeys } from "../../../support/gguf-builder.ts";

/** How the server answers one request; the standard is a correct 206. */
type Answer = (content: Buffer, start: number, end: number) => Response;

const url = "https://models.example/model.gguf";
/** About 600 kB of header, and as many bytes after it. */
const tokens = Array.from({ length: 40_000 }, (_, id) => `token${id}`);
const content = Buffer.concat([
  buildGguf({ metadata: modelKeys({ "tokenizer.ggml.tokens": tokens }) }),
  Buffer.alloc(600_000, 7),
]);

const answerRange: Answer = (bytes, start, end) =>
  new Response(new Uint8Array(bytes.subarray(start, end)), {
    status: 206,
    headers: { "content-range": `bytes ${start}-${end - 1}/${bytes.length}`, etag: '"one"' },
  });

/** A body in pieces; `taken` counts the pieces that were read. */
function inPieces(bytes: Buffer, taken: { count: number }): ReadableStream<Uint8Array> {
  const size = 10_000;
  let at = 0;
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        taken.count += 1;
        controller.enqueue(new Uint8Array(bytes.subarray(at, at + size)));
        at += size;
        if (at >= bytes.length) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

/** Serves `bytes`: each request gets the next of `answers`, and a correct answer when none is left. */
function serve(bytes: Buffer, answers: Answer[] = []): { file: HttpFile; ranges: string[]; delays: number[] } {
  const ranges: string[] = [];
  const delays: number[] = [];
  const fetch: HubFetch = async (_url, { headers }) => {
    // Coded bytes would not be those of the range.
    expect(headers["accept-encoding"]).toBe("identity");
    const [, start, last] = /^bytes=(\d+)-(\d+)$/.exec(headers["range"] ?? "") ?? [];
    ranges.push(`${start}-${last}`);
    return (answers.shift() ?? answerRange)(bytes, Number(start), Math.min(Number(last) + 1, bytes.length));
  };
  const signal = new AbortController().signal;
  const retries = { signal, wait: async (ms: number) => void delays.push(ms), onRetry: () => {} };
  const connection = { endpoint: "https://hub.example", signal, stallTimeoutMs: 60_000, fetch };
  return {
    file: { url, name: "model.gguf", connection, retries, traffic: { bytesRead: 0, requests: 0 } },
    ranges,
    delays,
  };
}

async function readBytes(file: HttpFile, offset: number, length: number): Promise<Buffer> {
  const into = Buffer.alloc(length);
  await (await openHttpSource(file)).read(offset, into);
  return into;
}

describe("a file on a server", () => {
  test("has a header that is read by growing ranges, each byte once", async () => {
    const { file, ranges } = serve(content);
    const header = await readHeaderFrom(await openHttpSource(file));
    expect(header).toMatchObject({ name: "model.gguf", sizeBytes: content.length });
    expect(header.metadata.get("tokenizer.ggml.tokens")).toMatchObject({ count: 40_000 });
    const spans = ranges.map((range) => range.split("-").map(Number));
    expect(spans.map(([start]) => start)).toEqual([0, ...spans.slice(0, -1).map(([, last = 0]) => last + 1)]);
    expect(file.traffic).toEqual({ bytesRead: (spans.at(-1)?.[1] ?? 0) + 1, requests: ranges.length });
    expect(file.traffic.bytesRead).toBeLessThan(content.length);
  });

  test("gets no second request for bytes of the first range", async () => {
    const { file, ranges } = serve(content);
    expect(await readBytes(file, 100, 1000)).toEqual(content.subarray(100, 1100));
    expect(ranges).toEqual(["0-131071"]);
  });

  test("gets requests only for bytes after the first range", async () => {
    const { file, ranges } = serve(content);
    expect(await readBytes(file, 131_000, 1000)).toEqual(content.subarray(131_000, 132_000));
    expect(ranges).toEqual(["0-131071", "131072-131999"]);
  });

  test("may be smaller than the first range", async () => {
    const small = content.subarray(0, 500);
    const { file } = serve(small);
    expect(await readBytes(file, 0, 500)).toEqual(small);
    expect(file.traffic.bytesRead).toBe(500);
  });
});

describe("a server that ignores ranges", () => {
  test("is read only up to the last needed byte", async () => {
    const taken = { count: 0 };
    const whole: Answer = (bytes) =>
      new Response(inPieces(bytes, taken), { headers: { "content-length": String(bytes.length) } });
    const { file } = serve(content, [whole, whole]);
    expect(await readBytes(file, 200_000, 1000)).toEqual(content.subarray(200_000, 201_000));
    expect(taken.count).toBe(14 + 21);
    expect(file.traffic.bytesRead).toBe(350_000);
  });

  test.each([{}, { "content-length": "5000000", "content-encoding": "gzip" }])(
    "and sends no size (%j) cannot be read from",
    async (headers: Record<string, string>) => {
      const { file } = serve(content, [(bytes) => new Response(inPieces(bytes, { count: 0 }), { headers })]);
      await expect(openHttpSource(file)).rejects.toMatchObject({
        code: "file-unreadable",
        message: expect.stringMatching(/does not tell its size/),
      });
    },
  );
});

describe("an ETag", () => {
  test.each([
    ['W/"one"', 'W/"two"', true],
    [null, null, true],
    ['"one"', null, false],
    [null, '"one"', false],
    ['"one"', 'W/"one"', false],
  ])("of %s and then %s is the same content: %s", async (first, second, isSame) => {
    const answers = [first, second].map((etag): Answer => (bytes, start, end) => {
      const response = answerRange(bytes, start, end);
      response.headers.delete("etag");
      if (etag !== null) response.headers.set("etag", etag);
      return response;
    });
    const { file } = serve(content, answers);
    const reading = readBytes(file, 200_000, 10);
    if (isSame) expect(await reading).toEqual(content.subarray(200_000, 200_010));
    else await expect(reading).rejects.toMatchObject({ code: "file-unreadable", fix: "try again" });
  });
});

describe("an answer that is wrong", () => {
  test.each(["*", "9".repeat(20)])("is an error when it tells no usable size: %s", async (size) => {
    const sizeless: Answer = (bytes, start, end) => {
      const response = answerRange(bytes, start, end);
      response.headers.set("content-range", `bytes ${start}-${end - 1}/${size}`);
      return response;
    };
    await expect(openHttpSource(serve(content, [sizeless]).file)).rejects.toMatchObject({
      code: "file-unreadable",
      message: "model.gguf cannot be read in parts: its server does not tell its size",
      exit: "unavailable",
      fix: "download it, and name the file on disk",
    });
  });

  const wrongStart: Answer = (bytes, start, end) => {
    const response = answerRange(bytes, start, end);
    response.headers.set("content-range", `bytes ${start + 1}-${end}/${bytes.length}`);
    return response;
  };

  test("is requested again when it is another range", async () => {
    const { file, delays } = serve(content, [wrongStart]);
    expect(await readBytes(file, 0, 10)).toEqual(content.subarray(0, 10));
    expect(delays).toEqual([1000]);
  });

  test("fails after five retries", async () => {
    const { file, delays } = serve(
      content,
      Array.from({ length: 6 }, () => wrongStart),
    );
    await expect(openHttpSource(file)).rejects.toThrow("which is not the requested range");
    expect(delays).toHaveLength(5);
  });

  test("is requested again when it ends early", async () => {
    const short: Answer = (bytes, start, end) =>
      new Response(new Uint8Array(bytes.subarray(start, end - 400)), answerRange(bytes, start, end));
    const { file, delays } = serve(content, [short]);
    expect(await readBytes(file, 131_000, 72)).toEqual(content.subarray(131_000, 131_072));
    expect(delays).toEqual([1000]);
  });

  test.each(["size", "etag"])("is an error when the file's %s has changed in between", async (what) => {
    const other = what === "size" ? Buffer.concat([content, Buffer.alloc(1)]) : content;
    const changed: Answer = (_, start, end) => {
      const response = answerRange(other, start, end);
      response.headers.set("etag", what === "size" ? '"one"' : '"two"');
      return response;
    };
    const { file } = serve(content, [answerRange, changed]);
    await expect(readBytes(file, 200_000, 10)).rejects.toMatchObject({
      code: "file-unreadable",
      message: expect.stringMatching(/changed while it was read/),
    });
  });
});
