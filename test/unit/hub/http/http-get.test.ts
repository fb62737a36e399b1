import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connect } from "../../../../src/hub/http/hub-access.ts";
import { getFromHub } from "../../../../src/hub/http/hub-connection.ts";
import { httpGet, type HubResponse } from "../../../../src/hub/http/http-get.ts";
import { withRetries } from "../../../../src/hub/http/retry.ts";

let server: Server;
let url = "";
let answers: ((response: ServerResponse) => void)[] = [];
let requests = 0;

beforeEach(async () => {
  answers = [];
  requests = 0;
  server = createServer((_, response) => answers[Math.min(requests++, answers.length - 1)]?.(response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/file`;
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

const redirectTo = (location: string) => (response: ServerResponse) => void response.writeHead(302, { location }).end();

async function fetchWithRetries(): Promise<string> {
  const { signal } = new AbortController();
  const hub = { ...connect({ hub: { endpoint: new URL(url).origin, offline: false }, signal }), fetch: httpGet };
  const retries = { signal, wait: async () => {}, onRetry: () => {} };
  return withRetries(() => getFromHub(url, {}, hub, async ({ response }) => response.url), retries);
}

/** What a server was sent. */
async function sentBy(get: () => Promise<unknown>): Promise<(IncomingHttpHeaders & { path?: string })[]> {
  const sent: (IncomingHttpHeaders & { path?: string })[] = [];
  server.on("request", ({ headers, url: path = "" }) => void sent.push({ ...headers, path }));
  await get();
  return sent;
}

describe("a redirect", () => {
  test.each([301, 302, 303, 307, 308])("of status %d is followed, with its query", async (status) => {
    const location = "/other?signature=1";
    answers = [
      (response) => void response.writeHead(status, { location }).end(),
      (response) => void response.end("here"),
    ];
    const { signal } = new AbortController();
    let response: HubResponse | undefined;
    const sent = await sentBy(async () => (response = await httpGet(url, { headers: {}, signal })));
    expect(response).toMatchObject({ status: 200, ok: true, url: new URL(location, url).href });
    expect(sent.map(({ path }) => path)).toEqual(["/file", location]);
  });

  test.each([
    [300, { location: "/other" }],
    [304, { location: "/other" }],
    [302, {}],
  ])("is none for status %d with %j", async (status, headers) => {
    answers = [(response) => void response.writeHead(status, headers).end()];
    const { signal } = new AbortController();
    expect(await httpGet(url, { headers: {}, signal })).toMatchObject({ status, ok: false, url });
    expect(requests).toBe(1);
  });

  test("to the same origin keeps the token, one to another origin loses it and keeps the other headers", async () => {
    const elsewhere = url.replace("127.0.0.1", "localhost").replace("file", "third");
    answers = [redirectTo("/second"), redirectTo(elsewhere), (response) => void response.end("here")];
    const { signal } = new AbortController();
    const headers = { authorization: "Bearer secret", range: "bytes=0-3" };
    const sent = await sentBy(() => httpGet(url, { headers, signal }));
    expect(sent.map((each) => [each.path, each.authorization, each.range, each["user-agent"]])).toEqual([
      ["/file", "Bearer secret", "bytes=0-3", "llmctl"],
      ["/second", "Bearer secret", "bytes=0-3", "llmctl"],
      ["/third", undefined, "bytes=0-3", "llmctl"],
    ]);
  });

  test.each([
    "file:///etc/passwd",
    "ftp://host/a",
    "data:text/plain,a",
    "javascript:1",
    "ws://host/",
    "http://[",
    "http://a:99999/",
  ])("to %s is refused, and not tried again", async (location) => {
    answers = [redirectTo(location)];
    await expect(fetchWithRetries()).rejects.toMatchObject({
      code: "bad-redirect",
      exit: "unavailable",
      at: url,
      message: expect.stringMatching(
        URL.canParse(location)
          ? `redirects to a "${new URL(location).protocol}" address, which llmctl does not follow`
          : "redirects to something that is not an address, which llmctl does not follow",
      ) as string,
    });
    expect(requests).toBe(1);
  });

  test("to several addresses leads to the first", async () => {
    const headers = ["location", "/first", "location", "/second"];
    answers = [(response) => void response.writeHead(302, headers).end(), (response) => void response.end()];
    expect(await fetchWithRetries()).toBe(new URL("/first", url).href);
  });

  test("to itself is followed only a few times", async () => {
    answers = [redirectTo("/file")];
    await expect(fetchWithRetries()).rejects.toMatchObject({ code: "hub-error" });
    expect(requests).toBe(21);
  });

  test("with an endless body is followed, and its body is not read", async () => {
    let isClosed: Promise<unknown> = Promise.resolve();
    const endless = (response: ServerResponse) => {
      isClosed = once(response, "close");
      response.writeHead(302, { location: "/other" });
      const send = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(1 << 16)));
      };
      response.on("drain", send);
      send();
    };
    answers = [endless, (response) => void response.end("here")];
    expect(await fetchWithRetries()).toBe(url.replace("/file", "/other"));
    await isClosed;
  });
});

describe("an interruption", () => {
  test("before a request sends none", async () => {
    const reason = new Error("Ctrl-C");
    await expect(httpGet(url, { headers: {}, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(requests).toBe(0);
  });

  test("while a server is silent ends the request with its reason", async () => {
    const stop = new AbortController();
    const reason = new Error("Ctrl-C");
    answers = [() => stop.abort(reason)];
    await expect(httpGet(url, { headers: {}, signal: stop.signal })).rejects.toBe(reason);
  });
});

test("a header that is sent twice counts once, or is joined where that has a meaning", async () => {
  answers = [
    (response) => void response.writeHead(200, ["etag", '"a"', "etag", '"b"', "link", "<1>", "link", "<2>"]).end(),
  ];
  const { headers } = await httpGet(url, { headers: {}, signal: new AbortController().signal });
  expect([headers.get("etag"), headers.get("link"), headers.get("x-none")]).toEqual(['"a"', "<1>, <2>", null]);
});
