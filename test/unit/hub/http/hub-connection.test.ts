import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { HubFetch } from "../../../../src/hub/http/http-get.ts";
import { getFromHub, type HubConnection } from "../../../../src/hub/http/hub-connection.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Sends one byte, and a second one when it is asked for it. */
function connect(signal = new AbortController().signal): HubConnection {
  const pieces = [1, 2].map((byte) => new Uint8Array([byte]));
  const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    const piece = pieces.shift();
    if (piece === undefined) controller.close();
    else controller.enqueue(piece);
  };
  const body = () => new ReadableStream<Uint8Array>({ pull }, { highWaterMark: 0 });
  return { endpoint: "https://hub.example", signal, stallTimeoutMs: 30_000, fetch: async () => new Response(body()) };
}

describe("the stall guard", () => {
  test("does not count time without a reader", async () => {
    const bytes = await getFromHub("https://hub.example/file", {}, connect(), async ({ chunks }) => {
      const seen: number[] = [];
      for await (const chunk of chunks) {
        seen.push(...chunk);
        await vi.advanceTimersByTimeAsync(60_000);
      }
      return seen;
    });
    expect(bytes).toEqual([1, 2]);
  });

  test("aborts a request that gets no answer", async () => {
    const never: HubConnection["fetch"] = (_url, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
    const answer = getFromHub("https://hub.example/file", {}, { ...connect(), fetch: never }, async () => {});
    await Promise.all([expect(answer).rejects.toThrow("no byte for 30 s"), vi.advanceTimersByTimeAsync(30_000)]);
  });
});

const hub = "https://hub.example";

/** Sends a request that gets this answer. */
async function ask({
  url = `${hub}/a/b?key=secret`,
  from = url,
  status = 200,
  headers = {},
  token,
  isHub = true,
}: {
  url?: string;
  from?: string;
  status?: number;
  headers?: Record<string, string>;
  token?: string;
  isHub?: boolean;
}): Promise<unknown> {
  let sent: Readonly<Record<string, string>> = {};
  const fetch: HubFetch = async (_url, request) => {
    sent = request.headers;
    return { url: from, status, ok: status < 300, headers: new Headers(headers), body: null };
  };
  const { signal } = new AbortController();
  const connection = { ...(isHub ? { endpoint: hub } : {}), token, signal, stallTimeoutMs: 1000, fetch };
  return getFromHub(url, { range: "bytes=0-1" }, connection, async ({ chunks }) => {
    const read: Uint8Array[] = [];
    for await (const chunk of chunks) read.push(chunk);
    return { sent, read };
  });
}

describe("a request", () => {
  test.each([
    { url: `${hub}/a/b`, token: "t", sent: { range: "bytes=0-1", authorization: "Bearer t" } },
    { url: `${hub}/a/b`, token: undefined, sent: { range: "bytes=0-1" } },
    { url: "https://hub.example:8443/a/b", token: "t", sent: { range: "bytes=0-1" } },
    { url: "http://hub.example/a/b", token: "t", sent: { range: "bytes=0-1" } },
    { url: "https://hub.example.evil/a/b", token: "t", sent: { range: "bytes=0-1" } },
  ])("to $url carries the token ($token) only to the Hub itself", async ({ url, token, sent }) => {
    expect(await ask({ url, ...(token === undefined ? {} : { token }) })).toEqual({ sent, read: [] });
  });

  test("to a server that is no Hub carries no token", async () => {
    expect(await ask({ token: "t", isHub: false })).toEqual({ sent: { range: "bytes=0-1" }, read: [] });
  });
});

describe("an answer", () => {
  test.each([408, 416, 425, 429, 500, 503, 599])("of status %d may be another one later", async (status) => {
    await expect(ask({ status, headers: { "retry-after": "7" } })).rejects.toMatchObject({
      name: "TransientError",
      message: `hub.example answered ${status}`,
      retryAfterMs: 7000,
    });
  });

  test.each([401, 403])("of status %d from where the Hub has redirected to is an expired address", async (status) => {
    const from = "https://cdn.example/x?signature=secret";
    await expect(ask({ status, from })).rejects.toMatchObject({
      name: "TransientError",
      message: `cdn.example answered ${status}`,
      retryAfterMs: 0,
    });
  });

  const toBoth =
    "use an address that needs no login, or { hf, file } for a model on Hugging Face, which alone gets HF_TOKEN";
  test.each([
    {
      asked: { status: 401 },
      error: {
        code: "hub-denied",
        message: "hub.example denies access (status 401)",
        exit: "permission",
        fix: `check the repository's name; if it is private or gated, accept its licence on ${hub} and set HF_TOKEN`,
      },
    },
    {
      asked: { status: 403, token: "t" },
      error: {
        code: "hub-denied",
        message: "hub.example denies access (status 403)",
        exit: "permission",
        fix: `accept the repository's licence on ${hub}, and check that HF_TOKEN is valid and may read it`,
      },
    },
    {
      asked: { status: 401, isHub: false },
      error: { code: "hub-denied", message: "hub.example denies access (status 401)", exit: "permission", fix: toBoth },
    },
    {
      asked: { status: 404 },
      error: {
        code: "hub-not-found",
        message: "hub.example has no such repository, revision or file (status 404)",
        exit: "missingFile",
        fix: "check the repository, revision and quant or file",
      },
    },
    {
      asked: { status: 404, isHub: false },
      error: {
        code: "hub-not-found",
        message: "hub.example has no such file (status 404)",
        exit: "missingFile",
        fix: "check the address",
      },
    },
    {
      asked: { status: 400 },
      error: {
        code: "hub-error",
        message: "hub.example answered 400",
        exit: "unavailable",
        fix: "check HF_ENDPOINT, or try again later",
      },
    },
    {
      asked: { status: 302, isHub: false },
      error: {
        code: "hub-error",
        message: "hub.example answered 302",
        exit: "unavailable",
        fix: "check the address, or try again later",
      },
    },
  ])("no retry will mend: $asked", async ({ asked, error }) => {
    await expect(ask(asked)).rejects.toMatchObject({ ...error, at: `${hub}/a/b` });
  });
});

describe("a connection", () => {
  const fail = (error: Error, signal = new AbortController().signal) =>
    getFromHub(`${hub}/file`, {}, { ...connect(signal), fetch: () => Promise.reject(error) }, async () => {});

  test.each([
    [Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }), "read ECONNRESET"],
    [Object.assign(new Error(""), { code: "UND_ERR_SOCKET" }), "UND_ERR_SOCKET"],
    [Object.assign(new Error("bad"), { name: "HTTPParserError" }), "bad"],
    [Object.assign(new Error(""), { name: "HTTPParserError" }), "the connection was lost"],
  ])("that is lost may come back: %s", async (cause, message) => {
    await expect(fail(cause)).rejects.toMatchObject({ name: "TransientError", message, cause });
  });

  test("that our own fault ends is that fault", async () => {
    const fault = new TypeError("undefined is not a function");
    await expect(fail(fault)).rejects.toBe(fault);
  });

  test("that an interruption ends has its reason", async () => {
    const reason = new Error("Ctrl-C");
    const lost = Object.assign(new Error("aborted"), { code: "ABORT_ERR" });
    await expect(fail(lost, AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  test("is ended after its answer was used, and no clock runs on", async () => {
    let signal = AbortSignal.abort();
    const fetch: HubFetch = async (url, request) => {
      signal = request.signal;
      return { url, status: 200, ok: true, headers: new Headers(), body: null };
    };
    await getFromHub(`${hub}/file`, {}, { ...connect(), fetch }, async () => expect(signal.aborted).toBe(false));
    expect(signal.aborted).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });
});
