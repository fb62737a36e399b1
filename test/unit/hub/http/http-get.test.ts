import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connect } from "../../../../src/hub/http/hub-access.ts";
import { getFromHub } from "../../../../src/hub/http/hub-connection.ts";
import { httpGet } from "../../../../src/hub/http/http-get.ts";
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

describe("a redirect", () => {
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
    await expect(fetchWithRetries()).rejects.toMatchObject({ code: "bad-redirect", exit: "unavailable" });
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
