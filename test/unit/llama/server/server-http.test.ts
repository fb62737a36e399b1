import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  askMainLoop,
  checkHealth,
  examine,
  isBusy,
  prove,
  readMetrics,
} from "../../../../src/llama/server/server-http.ts";
import { parseLoadLine } from "../../../../src/llama/server/server-protocol.ts";
import type { Endpoint } from "../../../../src/supervisor/launch.ts";
import { makeLaunch } from "../../../support/make-launch.ts";

let server: Server;
let endpoint: Endpoint;
let answer: (request: IncomingMessage, body: string, response: ServerResponse) => void;
const never = new AbortController().signal;

beforeEach(async () => {
  server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => answer(request, body, response));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  endpoint = { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
});

afterEach(async () => {
  server.closeAllConnections();
  await once(server.close(), "close");
});

/** Answers every request with this. */
function answerWith(status: number, body: unknown): void {
  answer = (_request, _body, response) =>
    void response.writeHead(status).end(typeof body === "string" ? body : JSON.stringify(body));
}

test("a server on a unix socket answers like one on a port", async () => {
  const folder = await mkdtemp(join(tmpdir(), "llmctl-socket-"));
  const socketPath = join(folder, "a b.sock");
  const onSocket = createServer((request, response) => response.end(request.url === "/health" ? "{}" : "[]"));
  await once(onSocket.listen(socketPath), "listening");
  expect(await checkHealth({ socketPath }, 5000, never)).toBe("ready");
  onSocket.closeAllConnections();
  await once(onSocket.close(), "close");
  expect(await checkHealth({ socketPath }, 5000, never)).toBe("unreachable");
  await rm(folder, { recursive: true });
});

describe("the server's own metrics", () => {
  const asked: (string | undefined)[] = [];

  async function read(launch: Parameters<typeof makeLaunch>[0], props: unknown): Promise<string | undefined> {
    asked.length = 0;
    answer = (request, _body, response) => {
      asked.push(request.url);
      response.end(request.url === "/props" ? JSON.stringify(props) : "llamacpp:n_decode_total 1");
    };
    return readMetrics(makeLaunch(launch), endpoint, never);
  }

  test("are read from a server that has them", async () => {
    expect(await read({ args: ["--metrics"] }, {})).toBe("llamacpp:n_decode_total 1");
  });

  test("a sleeping server stays asleep", async () => {
    expect(await read({ args: ["--metrics"] }, { is_sleeping: true })).toBeUndefined();
    expect(asked).toEqual(["/props"]);
  });

  test("a server without them gets no request", async () => {
    expect(await read({ args: [] }, {})).toBeUndefined();
    expect(asked).toEqual([]);
  });

  test("an invalid or missing answer is undefined", async () => {
    answerWith(501, {});
    expect(await readMetrics(makeLaunch({ args: ["--metrics"] }), endpoint, never)).toBeUndefined();
    expect(await readMetrics(makeLaunch({ args: ["--metrics"] }), { ...endpoint, port: 1 }, never)).toBeUndefined();
  });
});

describe("an examination", () => {
  const asked: (string | undefined)[] = [];

  async function examineServer(args: readonly string[], props: unknown, status: number): Promise<unknown> {
    asked.length = 0;
    answer = (request, _body, response) => {
      asked.push(request.url);
      if (request.url === "/props") response.end(JSON.stringify(props));
      else response.writeHead(status).end("Compute error.");
    };
    return examine(makeLaunch({ args }), endpoint, never);
  }

  test("passes when a request succeeds", async () => {
    expect(await examineServer([], {}, 200)).toEqual({ result: "well" });
    expect(asked).toEqual(["/props", "/v1/chat/completions"]);
  });

  test("asks for a few tokens, which show a lost GPU as well as many", async () => {
    const bodies: unknown[] = [];
    answer = (request, body, response) => {
      if (request.url !== "/props") bodies.push(JSON.parse(body));
      response.end("{}");
    };
    await examine(makeLaunch(), endpoint, never);
    expect(bodies).toMatchObject([{ max_tokens: 8, temperature: 0, ignore_eos: true }]);
  });

  test("finds a server that fails to compute", async () => {
    expect(await examineServer([], {}, 500)).toEqual({
      result: "broken",
      reason: "the server answered 500: Compute error.",
    });
  });

  test("does not call a server broken after a refusal, or without an answer", async () => {
    expect(await examineServer([], {}, 401)).toEqual({ result: "unknown" });
    expect(await examineServer([], {}, 503)).toEqual({ result: "unknown" });
    expect(await examine(makeLaunch(), { ...endpoint, port: 1 }, never)).toEqual({ result: "unknown" });
    expect(await examine(makeLaunch(), endpoint, AbortSignal.abort())).toEqual({ result: "unknown" });
  });

  test("wakes no server, and asks no text of a server for embeddings", async () => {
    expect(await examineServer([], { is_sleeping: true }, 200)).toEqual({ result: "unknown" });
    expect(asked).toEqual(["/props"]);
    for (const flag of ["--embeddings", "--embedding", "--rerank", "--reranking"]) {
      expect(await examineServer([flag], {}, 200)).toEqual({ result: "unknown" });
      expect(asked).toEqual([]);
    }
  });
});

describe("a server with slots", () => {
  const asked: (string | undefined)[] = [];

  function serve(slots: unknown, { props = {}, status = 200 }: { props?: unknown; status?: number } = {}): void {
    asked.length = 0;
    answer = (request, _body, response) => {
      asked.push(`${request.method} ${request.url}`);
      if (request.url === "/props") response.end(JSON.stringify(props));
      else response.writeHead(status).end(JSON.stringify(slots));
    };
  }

  test.each([
    [[{ is_processing: false }, { is_processing: true }], {}, true],
    [[{ is_processing: false }, {}], {}, false],
    [[{ is_processing: 1 }], {}, false],
    [[], {}, false],
    [{}, {}, false],
    [[{ is_processing: true }], { status: 501 }, false],
    [[{ is_processing: true }], { props: { is_sleeping: true } }, false],
    [[{ is_processing: true }], { props: { is_sleeping: "true" } }, true],
  ])("%j with %j is busy: %s", async (slots, how, busy) => {
    serve(slots, how);
    expect(await isBusy(makeLaunch(), endpoint, never)).toBe(busy);
  });

  test("is asked for them only while it is awake", async () => {
    serve([]);
    await isBusy(makeLaunch(), endpoint, never);
    expect(asked).toEqual(["GET /props", "GET /slots"]);
    serve([], { props: { is_sleeping: true } });
    await isBusy(makeLaunch(), endpoint, never);
    expect(asked).toEqual(["GET /props"]);
  });

  test.each([
    [[], true],
    [["--sleep-idle-seconds", "-1"], true],
    [["--sleep-idle-seconds", "60"], false],
  ])("started with %j is asked by its main loop and for metrics: %s", async (args, isAsked) => {
    serve("text");
    const launch = makeLaunch({ args: ["--metrics", ...args] });
    await askMainLoop(launch, endpoint, never);
    expect(asked).toEqual(isAsked ? ["GET /props", "GET /slots"] : []);
    serve("text");
    expect(await readMetrics(launch, endpoint, never)).toBe(isAsked ? '"text"' : undefined);
    expect(asked).toEqual(isAsked ? ["GET /props", "GET /metrics"] : []);
  });

  test("that is gone is not waited for", async () => {
    await expect(askMainLoop(makeLaunch(), { ...endpoint, port: 1 }, never)).resolves.toBeUndefined();
    expect(await isBusy(makeLaunch(), { ...endpoint, port: 1 }, never)).toBe(false);
  });
});

describe("health", () => {
  test.each([
    [200, "ready"],
    [503, "loading"],
    [500, "error"],
    [404, "error"],
  ])("status %i is %s", async (status, health) => {
    answerWith(status, {});
    expect(await checkHealth(endpoint, 5000, never)).toBe(health);
  });

  test("no answer in time is a timeout", async () => {
    answer = () => undefined;
    expect(await checkHealth(endpoint, 20, never)).toBe("timeout");
  });

  test("half an answer is a timeout, too", async () => {
    answer = (_request, _body, response) => void response.writeHead(200, { "content-length": "10" }).write("{");
    expect(await checkHealth(endpoint, 50, never)).toBe("timeout");
  });

  test("a server is unreachable when the connection is refused, reset or aborted", async () => {
    answer = (request) => request.socket.destroy();
    expect(await checkHealth(endpoint, 5000, never)).toBe("unreachable");
    answer = () => undefined;
    expect(await checkHealth(endpoint, 5000, AbortSignal.abort())).toBe("unreachable");
    expect(await checkHealth({ ...endpoint, port: 1 }, 5000, never)).toBe("unreachable");
  });

  test("a server on all addresses is asked on this machine", async () => {
    answerWith(200, {});
    expect(await checkHealth({ ...endpoint, host: "0.0.0.0" }, 5000, never)).toBe("ready");
  });
});

describe("the proof request", () => {
  const timings = { predicted_per_second: 12.5, draft_n: 92, draft_n_accepted: 71 };

  test("reads the draft counters of one short greedy request that does not end by itself", async () => {
    const seen: unknown[] = [];
    answer = (request, body, response) => {
      const { authorization, "content-type": type } = request.headers;
      seen.push(`${request.method} ${request.url}`, JSON.parse(body), authorization, type);
      response.end(JSON.stringify({ timings }));
    };
    const quiet = makeLaunch({ watchTraffic: false });
    expect(await prove(quiet, endpoint, never)).toEqual({
      requests: 1,
      verdict: { state: "on", draftTokens: 92, acceptedTokens: 71 },
      tokensPerSecond: 12.5,
      baselineTokensPerSecond: undefined,
    });
    const messages = [{ role: "user", content: expect.stringMatching(/\w/) as string }];
    expect(seen).toEqual([
      "POST /v1/chat/completions",
      { messages, max_tokens: 64, temperature: 0, ignore_eos: true },
      undefined,
      "application/json",
    ]);
  });

  /** Answers the proof, the same without a draft, and the same with one. @returns what is asked for. */
  function answerBaseline(withoutDraft: object, drafted: object): unknown[] {
    const asked: unknown[] = [];
    answer = (_request, body, response) => {
      const { max_tokens: tokens, "speculative.n_max": most } = JSON.parse(body) as Record<string, unknown>;
      asked.push([tokens, most]);
      const others = most === 0 ? withoutDraft : drafted;
      response.end(JSON.stringify({ timings: tokens === 64 ? timings : others }));
    };
    return asked;
  }

  const step = { predicted_n: 16, predicted_ms: 300 };

  test("then measures the speed without a draft, where a request can turn drafting off", async () => {
    const asked = answerBaseline(step, { ...step, draft_n: 12 });
    // 15 steps: the first token comes with the prompt.
    expect(await prove(makeLaunch(), endpoint, never)).toMatchObject({ requests: 3, baselineTokensPerSecond: 50 });
    expect(asked).toEqual([
      [64, undefined],
      [16, 0],
      [16, undefined],
    ]);
  });

  test.each([
    ["drafts all the same", { ...step, draft_n: 1, draft_n_accepted: 1 }, { ...step, draft_n: 1 }, 2],
    ["answers with another number of tokens", { predicted_n: 7, predicted_ms: 9 }, { ...step, draft_n: 1 }, 2],
    ["would have drafted nothing anyway", step, step, 3],
    ["tells no time", { predicted_n: 16 }, { ...step, draft_n: 1 }, 3],
    ["tells an impossible time", { ...step, predicted_ms: -1 }, { ...step, draft_n: 1 }, 3],
  ])("claims no speed without a draft for a server that %s", async (_, withoutDraft, drafted, requests) => {
    answerBaseline(withoutDraft, drafted);
    expect(await prove(makeLaunch(), endpoint, never)).toMatchObject({ requests, baselineTokensPerSecond: undefined });
  });

  test("takes what was measured without the draft model, and asks no more", async () => {
    const asked = answerBaseline(step, { ...step, draft_n: 12 });
    const known = (contextTokens: number) => ({
      costs: { stepMs: [{ contextTokens, ms: 8 }], targetMs: null, draftMs: null, reevaluates: true },
    });
    expect(await prove(makeLaunch(known(512)), endpoint, never)).toMatchObject({
      requests: 1,
      baselineTokensPerSecond: 125,
    });
    expect(await prove(makeLaunch(known(5000)), endpoint, never)).toMatchObject({ baselineTokensPerSecond: undefined });
    expect(asked).toEqual([
      [64, undefined],
      [64, undefined],
    ]);
  });

  test("compares nothing for a server that never drafts", async () => {
    answerWith(200, { timings: { predicted_n: 64, predicted_ms: 64 } });
    expect(await prove(makeLaunch(), endpoint, never)).toMatchObject({
      requests: 1,
      baselineTokensPerSecond: undefined,
    });
  });

  test.each([
    {},
    { timings: { draft_n: null } },
    { timings: { draft_n: "7" } },
    { timings: { draft_n: 0, draft_n_accepted: 0 } },
  ])("proves nothing when the counters are missing or 0: %j", async (body) => {
    answerWith(200, body);
    const { verdict } = await prove(makeLaunch(), endpoint, never);
    expect(verdict).toEqual({ state: "off", reason: "the proof request drafted no token" });
  });

  test("uses the first key of the key file", async () => {
    const folder = await mkdtemp(join(tmpdir(), "llmctl-key-"));
    const apiKeyFile = join(folder, "keys");
    await writeFile(apiKeyFile, "\n  secret \nother\n");
    let key: string | undefined;
    answer = (request, _body, response) => {
      key = request.headers.authorization;
      response.end(JSON.stringify({ timings }));
    };
    await prove(makeLaunch({ apiKeyFile }), endpoint, never);
    expect(key).toBe("Bearer secret");
    await rm(folder, { recursive: true });
  });

  describe("with a key file that changes while the server runs", () => {
    let folder: string;
    let apiKeyFile: string;
    /** The key that the server accepts. */
    let taken: string;
    const given: (string | undefined)[] = [];

    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), "llmctl-key-"));
      apiKeyFile = join(folder, "keys");
      await writeFile(apiKeyFile, "# comment\nfirst\n");
      taken = "Bearer first";
      given.length = 0;
      answer = (request, _body, response) => {
        given.push(request.headers.authorization);
        response.writeHead(request.headers.authorization === taken ? 200 : 401);
        response.end(request.url === "/slots" ? '[{ "is_processing": true }]' : "{}");
      };
    });
    afterEach(() => rm(folder, { recursive: true }));

    test.each([
      ["is removed", () => rm(apiKeyFile)],
      ["is emptied", () => writeFile(apiKeyFile, "")],
      ["gets another key", () => writeFile(apiKeyFile, "second\n")],
      ["becomes a folder", async () => rm(apiKeyFile).then(() => mkdir(apiKeyFile))],
    ])("keeps the key that the server accepted when it %s", async (_how, change) => {
      const launch = makeLaunch({ apiKeyFile });
      expect(await isBusy(launch, endpoint, never)).toBe(true);
      await change();
      expect(await isBusy(launch, endpoint, never)).toBe(true);
      expect(new Set(given)).toEqual(new Set(["Bearer first"]));
    });

    test("tries the new key when the old one is refused, and keeps it", async () => {
      const launch = makeLaunch({ apiKeyFile });
      expect(await isBusy(launch, endpoint, never)).toBe(true);
      await writeFile(apiKeyFile, "second\n");
      taken = "Bearer second";
      expect(await isBusy(launch, endpoint, never)).toBe(true);
      expect(await isBusy(launch, endpoint, never)).toBe(true);
      expect(given.filter((key) => key === "Bearer first")).toHaveLength(3);
    });

    test("sends no key when there was none at first, and reports the server's answer", async () => {
      await rm(apiKeyFile);
      const launch = makeLaunch({ apiKeyFile });
      await expect(prove(launch, endpoint, never)).rejects.toThrow("the server answered 401");
      expect(await isBusy(launch, endpoint, never)).toBe(false);
      expect(given.every((key) => key === undefined)).toBe(true);
    });
  });

  test.each([
    [401, { error: { message: "Invalid API Key" } }, "the server answered 401: "],
    [500, "x".repeat(1000), `the server answered 500: ${"x".repeat(200)}`],
    [200, "<html>", "JSON"],
    [200, "x".repeat(5 << 20), "the answer is too long"],
  ])("an answer %i of another kind is an error", async (status, body, message) => {
    answerWith(status, body);
    await expect(prove(makeLaunch(), endpoint, never)).rejects.toThrow(message);
  });

  test("is aborted with its signal", async () => {
    const controller = new AbortController();
    answer = () => controller.abort();
    await expect(prove(makeLaunch(), endpoint, controller.signal)).rejects.toThrow("abort");
  });
});

describe("a log line of a loading server", () => {
  test.each([
    ["main: server is listening on http://127.0.0.1:8080 - starting the main loop", "127.0.0.1", 8080],
    ["0.00.010.036 I srv  llama_server: listening on http://127.0.0.1:33581", "127.0.0.1", 33_581],
    ["srv  llama_server: listening on http://0.0.0.0:1", "0.0.0.0", 1],
    ["srv  llama_server: listening on http://[::1]:8080", "::1", 8080],
    ["main: server is listening on http://::1:60643", "::1", 60_643], // b7698
    ["srv  llama_server: listening on https://example.org:443", "example.org", 443],
  ])("%s", (line, host, port) => {
    expect(parseLoadLine(line)).toEqual({ says: "listening", endpoint: { host, port } });
  });

  test.each([
    ["0.00.018.502 I srv  llama_server: listening on unix:///tmp/a b.sock", "/tmp/a b.sock"],
    ["main: server is listening on unix:///run/x.sock - starting the main loop", "/run/x.sock"],
    ["main: server is listening on unix:///run/x.sock.d/y.sock", "/run/x.sock.d/y.sock"],
  ])("%s", (line, socketPath) => {
    expect(parseLoadLine(line)).toEqual({ says: "listening", endpoint: { socketPath } });
  });

  test.each([
    ["0.00.010.030 I srv  llama_server: model loaded", "loaded"],
    ["main: model loaded", "loaded"],
    ["srv  log_server_r: request: GET /health 127.0.0.1 503", "asked"],
  ])("%s", (line, says) => expect(parseLoadLine(line)).toEqual({ says }));

  test.each([
    "main: loading model",
    "srv  log_server_r: request: POST /v1/chat/completions 127.0.0.1 200",
    "listening on unix:///tmp/x",
    "listening on http://127.0.0.1:123456",
    "",
  ])("has no meaning: %s", (line) => expect(parseLoadLine(line)).toBeUndefined());
});

describe("an address in a server's log", () => {
  test.each(["0", "65536", "99999"])("with the port %s is ignored", (port) => {
    expect(parseLoadLine(`srv  main: server is listening on http://127.0.0.1:${port}`)).toBeUndefined();
  });

  test.each(["1", "65535"])("may have the port %s", (port) => {
    const endpoint = { host: "127.0.0.1", port: Number(port) };
    expect(parseLoadLine(`srv  main: server is listening on http://127.0.0.1:${port}`)).toEqual({
      says: "listening",
      endpoint,
    });
  });
});
