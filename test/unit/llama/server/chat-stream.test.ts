import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { streamChat } from "../../../../src/llama/server/chat-stream.ts";

let server: Server;
let answer: (response: ServerResponse) => void = () => undefined;

beforeEach(async () => {
  server = createServer((_, response) => answer(response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

async function chat(): Promise<string> {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let text = "";
  for await (const piece of streamChat({ url, apiKey: undefined, messages: [], signal: new AbortController().signal }))
    text += piece.text;
  return text;
}

function endless(response: ServerResponse, piece: Buffer): void {
  const send = (): void => {
    while (!response.destroyed && response.write(piece));
  };
  response.on("drain", send);
  send();
}

test("an answer comes in pieces", async () => {
  const event = (content: string) => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`;
  answer = (response) => void response.end(`${event("a")}${event("b")}data: [DONE]\n`);
  expect(await chat()).toBe("ab");
});

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
