import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type MeasuredRequest, measureAnswer } from "../../../../src/llama/server/measured-answer.ts";
import { AnsweringServer, events } from "../../../support/answering-server.ts";

let server: AnsweringServer;

beforeEach(async () => {
  server = await AnsweringServer.listen();
});
afterEach(() => server[Symbol.asyncDispose]());

const timings = { prompt_n: 16, prompt_ms: 4.5, predicted_n: 4, predicted_ms: 1.25 };
const delta = (value: object, more: object = {}) => ({ choices: [{ finish_reason: null, delta: value, ...more }] });
const chat = [
  delta({ role: "assistant", content: null }),
  delta({ reasoning_content: "Hm. " }),
  delta({ content: "Yes" }),
  { ...delta({}, { finish_reason: "length" }), timings },
  "[DONE]",
];

function measure(more: Partial<MeasuredRequest> = {}): ReturnType<typeof measureAnswer> {
  const { signal } = new AbortController();
  const body = { messages: [] };
  return measureAnswer({ endpoint: server.endpoint, path: "/v1/chat/completions", body, signal, ...more });
}

test("a chat is measured with its reasoning, and its drafts count as none where it names none", async () => {
  server.answer = (response) => void response.end(events(...chat));
  let nowMs = 5;
  const clock = { nowMs: () => (nowMs += 7) };
  expect(await measure({ clock })).toEqual({
    text: "Hm. Yes",
    finishReason: "length",
    promptTokens: 16,
    promptMs: 4.5,
    tokens: 4,
    generateMs: 1.25,
    draftTokens: 0,
    acceptedTokens: 0,
    firstTokenMs: 7,
  });
});

test("a completion ends with its last event", async () => {
  server.answer = (response) =>
    void response.write(
      events(
        { content: "Once", stop: false },
        { content: " upon", stop: false },
        { content: "", stop: true, stop_type: "limit", timings: { ...timings, draft_n: 3, draft_n_accepted: 2 } },
      ),
    );
  expect(await measure({ path: "/completion", body: { prompt: "a" } })).toMatchObject({
    text: "Once upon",
    finishReason: "limit",
    draftTokens: 3,
    acceptedTokens: 2,
  });
});

test("the request is a stream with a repeatable seed and without a cache, whatever the body says", async () => {
  server.answer = (response) => void response.end(events(...chat));
  await measure({ body: { messages: [1], stream: false, seed: 7, cache_prompt: true, max_tokens: 9 }, apiKey: "k" });
  await measure({ usesCache: true });
  await measure({ body: { seed: -1 } });
  expect(server.asked).toEqual([
    {
      method: "POST",
      path: "/v1/chat/completions",
      authorization: "Bearer k",
      body: { messages: [1], stream: true, seed: 7, cache_prompt: false, max_tokens: 9 },
    },
    {
      method: "POST",
      path: "/v1/chat/completions",
      authorization: undefined,
      body: { messages: [], stream: true, seed: 42, cache_prompt: true },
    },
    {
      method: "POST",
      path: "/v1/chat/completions",
      authorization: undefined,
      body: { stream: true, seed: 42, cache_prompt: false },
    },
  ]);
});

test("the first token is told once, while the rest is still to come", async () => {
  let finish = (): void => undefined;
  server.answer = (response) => {
    response.write(events(chat[0]));
    finish = () => void response.end(events(...chat.slice(1)));
  };
  let times = 0;
  await measure({
    onFirstToken: () => {
      times += 1;
      finish();
    },
  });
  expect(times).toBe(1);
});

test("a prompt longer than the context is an error of its own", async () => {
  const message = "request (6001 tokens) exceeds the available context size (512 tokens), try increasing it";
  server.answer = (response) =>
    void response
      .writeHead(400)
      .end(JSON.stringify({ error: { code: 400, message, type: "exceed_context_size_error", n_ctx: 512 } }));
  await expect(measure()).rejects.toMatchObject({
    code: "prompt-too-long",
    exit: "failed",
    message: `the prompt is longer than the context: ${message}`,
    at: server.url,
  });
});

describe("an answer that fails is an error with the reason", () => {
  test.each<[string, (response: Parameters<AnsweringServer["answer"]>[0]) => void, string]>([
    [
      "of a refusal",
      (response) => void response.writeHead(500).end('{"error":{"message":"no room","type":"server_error"}}'),
      "no room",
    ],
    ["of garbage", (response) => void response.writeHead(502).end("<html>"), "HTTP 502"],
    [
      "of garbage in the middle",
      (response) => void response.end(events(chat[0], "{")),
      "it sent an event that is not a JSON object",
    ],
    ["of an early end", (response) => void response.end(events(...chat.slice(0, 4))), "the answer ended early"],
    ["of an end without an event", (response) => void response.end(), "the answer ended early"],
    ["of missing timings", (response) => void response.end(events(chat[0], "[DONE]")), "it sent no timings"],
    ["of no event", (response) => void response.end(events("[DONE]")), "it sent no timings"],
    ...Object.keys(timings).map(
      (key): [string, (response: Parameters<AnsweringServer["answer"]>[0]) => void, string] => [
        `of a wrong ${key}`,
        (response) => void response.end(events({ timings: { ...timings, [key]: -1 } }, "[DONE]")),
        "it sent no timings",
      ],
    ),
    ["of a server that hangs up", (response) => void response.socket?.destroy(), "it cannot be reached"],
  ])("%s", async (_, answer, why) => {
    server.answer = answer;
    const isCut = ["the answer ended early", "it cannot be reached"].includes(why);
    await expect(measure()).rejects.toMatchObject({
      code: isCut ? "answer-cut-off" : "answer-failed",
      exit: "unavailable",
      message: `the server gave no complete answer: ${why}`,
      at: server.url,
    });
  });

  test("of a server that dies in the middle", async () => {
    server.answer = (response) => void response.write(events(chat[0]), () => response.socket?.destroy());
    await expect(measure()).rejects.toMatchObject({
      code: "answer-cut-off",
      message: "the server gave no complete answer: the answer ended early",
    });
  });
});

test("an abort ends it at every moment", async () => {
  await expect(measure({ signal: AbortSignal.abort() })).rejects.toMatchObject({ name: "AbortError" });
  const controller = new AbortController();
  server.answer = (response) => void response.write(events(chat[0]));
  const answer = measure({ signal: controller.signal, onFirstToken: () => controller.abort() });
  await expect(answer).rejects.toMatchObject({ name: "AbortError" });
});
