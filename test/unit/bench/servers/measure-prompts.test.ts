import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { chatPrompt, parsePromptLine } from "../../../../src/bench/prompts/parse-prompt.ts";
import { type MeasureOptions, measurePrompts } from "../../../../src/bench/servers/measure-prompts.ts";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { AnsweringServer, events } from "../../../support/answering-server.ts";

let server: AnsweringServer;
/** Processor time of the fake server so far. */
let cpuMs: number | null;
let death: LlmctlError | undefined;

/** Times of a fake model: a request costs 2 ms, a token of the prompt 3 ms, and a token of the answer 10 ms. */
interface Completion {
  readonly max_tokens?: number;
  readonly n_predict?: number;
  readonly cache_prompt: boolean;
}

/** Tokens of the prompt that are computed with a cache. */
let cachedSizes: number[];

beforeEach(async () => {
  cpuMs = 0;
  death = undefined;
  cachedSizes = [];
  server = await AnsweringServer.listen();
  server.answer = (response, { body }) => {
    const { max_tokens, n_predict, cache_prompt: usesCache } = body as Completion;
    const tokens = max_tokens ?? n_predict ?? 0;
    const promptTokens = usesCache ? (cachedSizes.shift() ?? 1) : 20;
    if (cpuMs !== null) cpuMs += 2 + 3 * promptTokens + 10 * (tokens - 1);
    const timings = {
      prompt_n: promptTokens,
      prompt_ms: 3 * promptTokens,
      predicted_n: tokens,
      predicted_ms: 10 * (tokens - 1),
      ...(tokens > 1 ? { draft_n: 8, draft_n_accepted: 5 } : {}),
    };
    response.end(
      events({ content: "a", stop: false }, { content: `${tokens}`, stop: true, stop_type: "limit", timings }),
    );
  };
});
afterEach(() => server[Symbol.asyncDispose]());

let nowMs = 0;
const clock = { nowMs: () => (nowMs += 7), sleep: async () => undefined, setTimer: () => () => undefined };

function measure(texts: readonly string[], options: Partial<MeasureOptions> = {}): ReturnType<typeof measurePrompts> {
  const measured = { endpoint: server.endpoint, readSettledCpuMs: async () => cpuMs, findDeath: async () => death };
  const { signal } = new AbortController();
  return measurePrompts(measured, texts.map(chatPrompt), { signal, timing: "wall", maxTokens: 256, clock, ...options });
}

const whole = {
  tokens: 255,
  generateMs: 2550,
  cpuMs: null,
  promptTokens: 20,
  firstTokenMs: 7,
  draftTokens: 8,
  acceptedTokens: 5,
};

test("by the clock, a prompt is asked once and computed as a whole", async () => {
  expect(await measure(["one"])).toEqual([whole]);
  expect(server.asked).toMatchObject([{ body: { max_tokens: 256, cache_prompt: false, stream: true } }]);
});

test("by processor time, the generation alone is measured, and the first token as by the clock", async () => {
  expect(await measure(["one"], { timing: "cpu", maxTokens: 11 })).toEqual([
    { ...whole, tokens: 10, generateMs: 100, cpuMs: 100 },
  ]);
  expect(server.asked).toMatchObject([
    { body: { max_tokens: 1, cache_prompt: false } },
    { body: { max_tokens: 1, cache_prompt: true } },
    { body: { max_tokens: 11, cache_prompt: true } },
  ]);
});

test("by processor time, a server without a use for its cache is measured as well", async () => {
  cachedSizes = [20, 20];
  expect(await measure(["one"], { timing: "cpu", maxTokens: 11 })).toMatchObject([{ cpuMs: 100 }]);
});

test.each<[string, () => void]>([
  ["a server that does not tell it", () => (cpuMs = null)],
  ["prompts that were computed to different parts", () => (cachedSizes = [1, 20])],
])("there is no processor time for %s", async (_, change) => {
  change();
  expect(await measure(["one"], { timing: "cpu", maxTokens: 11 })).toMatchObject([{ tokens: 10, cpuMs: null }]);
});

test("prompts at the same time share the processor, so each is asked once", async () => {
  expect(await measure(["one", "two"], { timing: "cpu" })).toMatchObject([
    { tokens: 255, cpuMs: null },
    { tokens: 255, cpuMs: null },
  ]);
  expect(server.asked).toHaveLength(2);
});

test("a prompt's own limit of tokens counts, on both paths", async () => {
  const { signal } = new AbortController();
  const measured = { endpoint: server.endpoint, readSettledCpuMs: async () => cpuMs, findDeath: async () => death };
  for (const line of ['{"prompt":"a","max_tokens":9}', '{"messages":[{"role":"user"}],"n_predict":9}']) {
    const parsed = parsePromptLine(line);
    if ("wrong" in parsed) throw new Error(parsed.wrong);
    const results = await measurePrompts(measured, [parsed.prompt], { signal, timing: "cpu", maxTokens: 256, clock });
    expect(results).toMatchObject([{ tokens: 8, cpuMs: 80 }]);
  }
  const paths = new Set(server.asked.map(({ path }) => path));
  expect([...paths]).toEqual(["/completion", "/v1/chat/completions"]);
});

test("an answer of one token is measured as none", async () => {
  server.answer = (response) =>
    void response.end(
      events({ stop: true, timings: { prompt_n: 20, prompt_ms: 60, predicted_n: 1, predicted_ms: 0.001 } }),
    );
  expect(await measure(["one"])).toMatchObject([{ tokens: 0, promptTokens: 20 }]);
});

test.each(["wall", "cpu"] as const)("the whole answer is told once, by %s", async (timing) => {
  const told: unknown[] = [];
  await measure(["one"], { timing, maxTokens: 11, onAnswer: ({ excerpt }, { text }) => told.push([excerpt, text]) });
  expect(told).toEqual([["one", "a11"]]);
});

describe("a failed request", () => {
  test("does not stop the others, and says what the server said", async () => {
    const { answer } = server;
    server.answer = (response, asked) => {
      if (!JSON.stringify(asked.body).includes("two")) return answer(response, asked);
      const error = { message: "request (9 tokens) exceeds", type: "exceed_context_size_error" };
      response.writeHead(400).end(JSON.stringify({ error }));
    };
    expect(await measure(["one", "two", "three"])).toMatchObject([
      { tokens: 255 },
      { error: "the prompt is longer than the context: request (9 tokens) exceeds" },
      { tokens: 255 },
    ]);
  });

  test("has the death of the server as its reason where that is known", async () => {
    server.answer = (response) => void response.socket?.destroy();
    expect(await measure(["one"])).toEqual([{ error: "the server gave no complete answer: it cannot be reached" }]);
    death = new LlmctlError("bench-server-died", "out of\nmemory", { exit: "failed" });
    expect(await measure(["one"], { timing: "cpu" })).toEqual([{ error: String.raw`out of\nmemory` }]);
  });

  test("of a server that answers has its words as the reason", async () => {
    death = new LlmctlError("bench-server-died", "another server", { exit: "failed" });
    server.answer = (response) => void response.writeHead(400).end('{"error":{"message":"no such grammar"}}');
    expect(await measure(["one"])).toEqual([{ error: "the server gave no complete answer: no such grammar" }]);
  });

  test("is none when the run was interrupted", async () => {
    const controller = new AbortController();
    server.answer = () => controller.abort(new Error("Ctrl-C"));
    await expect(measure(["one"], { signal: controller.signal })).rejects.toThrow("Ctrl-C");
  });
});
