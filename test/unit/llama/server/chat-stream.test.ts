import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ChatPiece, streamChat } from "../../../../src/llama/server/chat-stream.ts";

let server: Server;
let answer: (response: ServerResponse) => void = () => undefined;
/** What the server was sent. */
let asked: { readonly request: IncomingMessage; readonly body: string } | undefined;

beforeEach(async () => {
  server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => ((asked = { request, body }), answer(response)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

const urlOf = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

async function chat(more: Partial<Parameters<typeof streamChat>[0]> = {}): Promise<ChatPiece[]> {
  const { signal } = new AbortController();
  const pieces: ChatPiece[] = [];
  for await (const piece of streamChat({ url: urlOf(), apiKey: undefined, messages: [], signal, ...more }))
    pieces.push(piece);
  return pieces;
}

const event = (delta: object) => `data: ${JSON.stringify({ choices: [{ delta }] })}\n\n`;

function endless(response: ServerResponse, piece: Buffer): void {
  const send = (): void => {
    while (!response.destroyed && response.write(piece));
  };
  response.on("drain", send);
  send();
}

test("an answer comes in pieces, thoughts apart from text, and ends where the server says so", async () => {
  answer = (response) =>
    void response.end(
      `: a comment\n\n${event({ role: "assistant", content: null })}${event({ reasoning_content: "hm" })}` +
        `${event({ reasoning_content: "", content: "" })}${event({ reasoning_content: "so", content: "a" })}` +
        `event: x\nid: data: {\n${event({ content: "b" })}data: {"choices":[]}\n\n` +
        `data: [DONE]\n\n${event({ content: "c" })}`,
    );
  expect(await chat()).toEqual([
    { kind: "thought", text: "hm" },
    { kind: "thought", text: "so" },
    { kind: "text", text: "a" },
    { kind: "text", text: "b" },
  ]);
});

test.each([
  [undefined, undefined],
  ["sesame", "Bearer sesame"],
])("the request is a stream of one chat, with the key %s", async (apiKey, authorization) => {
  answer = (response) => void response.end("data: [DONE]\n");
  const messages = [{ role: "user", content: "hello" }] as const;
  await chat({ apiKey, messages });
  expect([asked?.request.method, asked?.request.url]).toEqual(["POST", "/v1/chat/completions"]);
  expect(JSON.parse(asked?.body ?? "")).toEqual({ messages, stream: true });
  expect(asked?.request.headers).toMatchObject({ "content-type": "application/json" });
  expect(asked?.request.headers.authorization).toBe(authorization);
});

describe("the reason of an answer that fails", () => {
  const refusal = (message: unknown) => JSON.stringify({ error: { message } });
  const long = "x".repeat(3000);
  test.each<[string, (response: ServerResponse) => void, string]>([
    ["the server's own words", (response) => void response.writeHead(500).end(refusal("no room")), "no room"],
    ["the status without words", (response) => void response.writeHead(503).end("<html>"), "HTTP 503"],
    ["the status with words that are none", (response) => void response.writeHead(400).end(refusal(7)), "HTTP 400"],
    ["the status of a broken answer", (response) => cut(response, "{", 502), "HTTP 502"],
    [
      "words in the middle",
      (response) => void response.end(`${event({ content: "a" })}data: ${refusal("lost")}\n`),
      "lost",
    ],
    ["at most 2000 characters", (response) => void response.end(`data: ${refusal(long)}\n`), long.slice(0, 2000)],
    ["an early end", (response) => void response.end(event({ content: "a" })), "the answer ended early"],
    [
      "an event that is none",
      (response) => void response.end("data: 7\n\n"),
      "it sent an event that is not a JSON object",
    ],
    ["a server that hangs up", (response) => void response.socket?.destroy(), "it cannot be reached"],
  ])("is %s", async (_, how, reason) => {
    answer = how;
    await expect(chat()).rejects.toMatchObject({
      code: "chat-failed",
      exit: "unavailable",
      message: `the server gave no complete answer: ${reason}`,
      at: urlOf(),
    });
  });

  test("is that the caller gave up, before and during the answer", async () => {
    await expect(chat({ signal: AbortSignal.abort() })).rejects.toMatchObject({ name: "AbortError" });
    const controller = new AbortController();
    answer = (response) => void response.write(event({ content: "a" }));
    const pieces = streamChat({ url: urlOf(), apiKey: undefined, messages: [], signal: controller.signal });
    expect((await pieces.next()).value).toEqual({ kind: "text", text: "a" });
    controller.abort();
    await expect(pieces.next()).rejects.toMatchObject({ name: "AbortError" });
  });
});

/** Sends the beginning of a longer answer and hangs up. */
function cut(response: ServerResponse, text: string, status: number): void {
  response.writeHead(status, { "content-length": "100" });
  response.write(text, () => response.socket?.destroy());
}

describe("a typed error for", () => {
  test.each<[string, (response: ServerResponse) => void]>([
    ["an event without end", (response) => endless(response, Buffer.alloc(1 << 20, "x"))],
    ["a refusal without end", (response) => endless(response.writeHead(500), Buffer.alloc(1 << 20, "x"))],
    ["an event that is no JSON", (response) => void response.end("data: {\n\n")],
    ["an event that nests without end", (response) => void response.end(`data: ${"[".repeat(500_000)}\n\n`)],
    ["an event that is null", (response) => void response.end("data: null\n\n")],
  ])("%s", async (_, how) => {
    answer = how;
    await expect(chat()).rejects.toMatchObject({ code: "chat-failed", exit: "unavailable" });
  });

  test.each([
    "{}",
    '{"choices":null}',
    '{"choices":{}}',
    '{"choices":[null]}',
    '{"choices":[{"delta":null}]}',
    '{"error":null}',
  ])("an answer that ends early after %s, an event without text", async (event) => {
    answer = (response) => void response.end(`data: ${event}\n\n`);
    await expect(chat()).rejects.toMatchObject({ code: "chat-failed" });
  });
});
