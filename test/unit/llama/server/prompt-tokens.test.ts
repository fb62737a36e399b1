import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { countPromptTokens, readContextTokens, tokenize } from "../../../../src/llama/server/prompt-tokens.ts";
import { AnsweringServer } from "../../../support/answering-server.ts";

let server: AnsweringServer;
const { signal } = new AbortController();

beforeEach(async () => {
  server = await AnsweringServer.listen();
});
afterEach(() => server[Symbol.asyncDispose]());

function answerWith(answers: Readonly<Record<string, unknown>>): void {
  server.answer = (response, { path }) => void response.end(JSON.stringify(answers[path]));
}

test("a chat is counted as the text that its template makes of it", async () => {
  answerWith({ "/apply-template": { prompt: "<user>Hello" }, "/tokenize": { tokens: [7, 8, 9] } });
  const body = { messages: [{ role: "user", content: "Hello" }] };
  expect(await countPromptTokens(server.endpoint, { path: "/v1/chat/completions", body }, signal)).toBe(3);
  expect(server.asked.map(({ path, body: sent }) => [path, sent])).toEqual([
    ["/apply-template", body],
    ["/tokenize", { content: "<user>Hello", parse_special: true }],
  ]);
});

test("a text is counted as it is", async () => {
  answerWith({ "/tokenize": { tokens: [7] } });
  expect(await countPromptTokens(server.endpoint, { path: "/completion", body: { prompt: "Hi" } }, signal)).toBe(1);
  expect(server.asked.map(({ path }) => path)).toEqual(["/tokenize"]);
});

test("the context is that of one slot", async () => {
  answerWith({ "/props": { default_generation_settings: { n_ctx: 512 } } });
  expect(await readContextTokens(server.endpoint, signal)).toBe(512);
});

describe("an answer of another kind is an error:", () => {
  test.each([{}, { tokens: "x" }, { tokens: ["a"] }, { tokens: [-1] }])("%j for tokens", async (answer) => {
    answerWith({ "/tokenize": answer });
    await expect(tokenize(server.endpoint, "a", signal)).rejects.toMatchObject({
      code: "answer-failed",
      message: "the server gave no complete answer: /tokenize answered without tokens",
    });
  });

  test.each([{}, { default_generation_settings: 7 }, { default_generation_settings: {} }])("%j", async (answer) => {
    answerWith({ "/props": answer });
    await expect(readContextTokens(server.endpoint, signal)).rejects.toMatchObject({
      code: "answer-failed",
      message: "the server gave no complete answer: /props answered without n_ctx",
    });
  });

  test("a prompt that is no text", async () => {
    answerWith({ "/apply-template": {} });
    await expect(
      countPromptTokens(server.endpoint, { path: "/v1/chat/completions", body: {} }, signal),
    ).rejects.toMatchObject({ code: "answer-failed" });
  });

  test("a refusal", async () => {
    server.answer = (response) => void response.writeHead(501).end("not here");
    await expect(tokenize(server.endpoint, "a", signal)).rejects.toMatchObject({
      message: "the server gave no complete answer: /tokenize answered 501: not here",
    });
  });

  test("a server that hangs up", async () => {
    server.answer = (response) => void response.socket?.destroy();
    await expect(tokenize(server.endpoint, "a", signal)).rejects.toMatchObject({
      code: "answer-cut-off",
      message: "the server gave no complete answer: it cannot be reached",
    });
  });
});

test("an abort is no failure", async () => {
  await expect(tokenize(server.endpoint, "a", AbortSignal.abort())).rejects.toMatchObject({ name: "AbortError" });
});
