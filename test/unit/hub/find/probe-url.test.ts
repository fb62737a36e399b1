import { expect, test } from "vitest";
import type { HttpConnection } from "../../../../src/hub/http/hub-connection.ts";
import { probeUrl } from "../../../../src/hub/find/probe-url.ts";

const url = "https://models.example/m.gguf?key=secret";

interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly text?: string;
  readonly from?: string;
}

function probe({ status = 200, headers = {}, text = "GGUF", from = url }: Answer) {
  const connection: HttpConnection = {
    signal: new AbortController().signal,
    stallTimeoutMs: 1000,
    fetch: async (_, { headers: sent }) => {
      expect(sent).toEqual({ range: "bytes=0-3", "accept-encoding": "identity" });
      return { status, ok: true, url: from, headers: new Headers(headers), body: chunksOf(text) };
    },
  };
  const retries = { signal: connection.signal, wait: async () => {}, onRetry: () => {} };
  return probeUrl(url, { connection, retries, at: "p.yaml:1:1" });
}

async function* chunksOf(text: string): AsyncGenerator<Uint8Array> {
  for (const character of text) yield Buffer.from(character);
}

test.each<[string, Answer, unknown]>([
  [
    "a range",
    { status: 206, headers: { "content-range": "bytes 0-3/700", etag: '"a"' } },
    { sizeBytes: 700, version: '"a"' },
  ],
  ["the whole", { headers: { "content-length": "4", "last-modified": "Monday" } }, { sizeBytes: 4, version: "Monday" }],
  ["a server of few words", { headers: { "content-length": "4" } }, { sizeBytes: 4, version: undefined }],
])("%s has the file's size and version", async (_, answer, probed) => {
  expect(await probe(answer)).toEqual(probed);
});

test.each<[string, Answer, object]>([
  ["no size", {}, { code: "url-without-size", exit: "unavailable" }],
  [
    "an unknown size",
    { status: 206, headers: { "content-range": "bytes 0-3/*", "content-length": "4" } },
    { code: "url-without-size" },
  ],
  [
    "the end of the file too early",
    { headers: { "content-length": "3" }, text: "GGU" },
    { code: "url-not-gguf", exit: "missingFile" },
  ],
  [
    "a page",
    { text: "<html>" },
    { code: "url-not-gguf", message: "https://models.example/m.gguf is a web page, not a GGUF file" },
  ],
  ["plain http", { from: "http://cdn.example/m.gguf", headers: { "content-length": "4" } }, { code: "url-insecure" }],
])("%s is refused, in a message without the query", async (_, answer, error) => {
  await expect(probe(answer)).rejects.toMatchObject({ at: "p.yaml:1:1", ...error });
  await expect(probe(answer)).rejects.not.toMatchObject({ message: expect.stringContaining("secret") as string });
});
