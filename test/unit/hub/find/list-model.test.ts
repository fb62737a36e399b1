import { describe, expect, test } from "vitest";
import type { LlmctlError } from "../../../../src/base/errors.ts";
import type { HubConnection } from "../../../../src/hub/http/hub-connection.ts";
import { listLimits, listModel } from "../../../../src/hub/find/list-model.ts";

const commit = "a".repeat(40);
const ref = { hf: "owner/repo", quant: "Q4_K_M" };
const file = (path: string, more: object = {}) => ({ type: "file", path, size: 5, oid: "b".repeat(40), ...more });

interface Page {
  readonly body: string | AsyncIterable<Uint8Array>;
  readonly link?: string;
}

async function* oneChunk(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

/** A Hub that answers the n-th request for the listing, from 0 on, with `page(n)`. */
function list(page: (index: number) => Page, info: Page = { body: JSON.stringify({ id: "x", sha: commit }) }) {
  let pages = 0;
  const seen: string[] = [];
  const connection: HubConnection = {
    endpoint: "https://hub.example",
    signal: new AbortController().signal,
    stallTimeoutMs: 1000,
    fetch: async (url) => {
      seen.push(url);
      const { body, link } = url.includes("/tree/") ? page(pages++) : info;
      const headers = new Headers(link === undefined ? {} : { link });
      return { status: 200, ok: true, url, headers, body: typeof body === "string" ? oneChunk(body) : body };
    },
  };
  const retries = {
    signal: connection.signal,
    wait: () => Promise.reject(new Error("tried again")),
    onRetry: () => {},
  };
  return { seen, listing: listModel(ref, connection, retries) };
}

const onePage = (...entries: unknown[]) => list(() => ({ body: JSON.stringify(entries) })).listing;
const next = (query: string) => `<https://hub.example/api/models/owner/repo/tree/${commit}?${query}>; rel="next"`;

test("lists the files of all pages", async () => {
  const { listing } = list((index) => ({
    body: JSON.stringify([file(`${index}.gguf`)]),
    ...(index < 2 ? { link: next(`cursor=${index}`) } : {}),
  }));
  expect((await listing).files.map(({ name }) => name)).toEqual(["0.gguf", "1.gguf", "2.gguf"]);
});

describe("a hostile listing is refused at once, with a typed error:", () => {
  test.each([
    ["a name of 300 characters", file(`${"n".repeat(300)}.gguf`)],
    ["a name of 300 bytes", file("ä".repeat(150))],
    ["a path longer than a path can be", file(Array.from({ length: 600 }, () => "a").join("/"))],
    ["a lone surrogate", file("\ud800.gguf")],
    ["a path out of the repository", file("../../.bashrc")],
    ["an absolute path", file("/etc/passwd")],
    ["a NUL", file("a\0.gguf")],
    ["an escape", file("a\u009b.gguf")],
    ["a size that no file has", file("a.gguf", { size: 2 ** 53 })],
    ["a negative size", file("a.gguf", { lfs: { oid: "c".repeat(64), size: -1 } })],
    ["nothing in the place of an entry", null],
    ["a list in the place of an entry", []],
  ])("%s", async (_, entry) => {
    const error: unknown = await onePage(entry).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "hub-bad-listing" });
    expect((error as LlmctlError).message.length).toBeLessThan(700);
  });

  test("pages that link in a cycle", async () => {
    const { seen, listing } = list((index) => ({ body: "[]", link: next(`cursor=${index % 3}`) }));
    await expect(listing).rejects.toMatchObject({ code: "hub-bad-listing" });
    expect(seen.length).toBeLessThan(8);
  });

  test("pages without end", async () => {
    const { seen, listing } = list((index) => ({ body: "[]", link: next(`cursor=${index}`) }));
    await expect(listing).rejects.toMatchObject({ code: "hub-bad-listing" });
    expect(seen).toHaveLength(listLimits.pages);
  });

  test("a next page that is no address", async () => {
    const { listing } = list(() => ({ body: "[]", link: '<http://[>; rel="next"' }));
    await expect(listing).rejects.toMatchObject({ code: "hub-bad-listing" });
  });

  test("more files than any repository has", async () => {
    const many = JSON.stringify(Array.from({ length: 10_000 }, () => ({ type: "directory" })));
    const { seen, listing } = list((index) => ({ body: many, link: next(`cursor=${index}`) }));
    await expect(listing).rejects.toMatchObject({ code: "hub-bad-listing" });
    expect(seen).toHaveLength(1 + listLimits.files / 10_000 + 1);
  });

  test.each(["[", '{"a":', "[[],"])("JSON with endless nesting or length: %s…", async (piece) => {
    const { listing } = list(() => ({ body: piece.repeat(1_500_000) }));
    await expect(listing).rejects.toMatchObject({ code: "hub-bad-listing" });
  });

  test.each(["the listing", "what the revision is"])("a body without end, for %s", async (what) => {
    let sentBytes = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        sentBytes += 1 << 20;
        yield Buffer.alloc(1 << 20, " ");
      }
    }
    const page = () => ({ body: endless() });
    const { listing } = what === "the listing" ? list(page) : list(page, page());
    await expect(listing).rejects.toMatchObject({ code: "hub-bad-listing" });
    expect(sentBytes).toBeLessThanOrEqual(listLimits.answerBytes + (1 << 20));
  });
});
