import fc from "fast-check";
import { expect, test } from "vitest";
import { chatPrompt, parsePromptLine } from "../../../../src/bench/prompts/parse-prompt.ts";

const messages = [{ role: "user", content: "Hello" }];
const parse = (values: unknown) => parsePromptLine(JSON.stringify(values));

test("messages become a chat, with all keys that the measurement does not set itself", () => {
  const line = {
    messages,
    kind: "code",
    temperature: 0.2,
    ignore_eos: true,
    tools: [{ type: "function" }],
    response_format: { type: "json_object" },
    max_tokens: 40,
    stream: false,
    model: "x",
    seed: 1,
    cache_prompt: true,
    "speculative.n_max": 3,
    speculative: {},
  };
  expect(parse(line)).toEqual({
    prompt: {
      id: expect.stringMatching(/^[0-9a-f]{16}$/) as string,
      kind: "code",
      excerpt: "Hello",
      path: "/v1/chat/completions",
      body: {
        ignore_eos: true,
        max_tokens: 40,
        messages,
        response_format: { type: "json_object" },
        seed: 1,
        temperature: 0.2,
        tools: [{ type: "function" }],
      },
    },
    dropped: ["stream", "model", "cache_prompt", "speculative.n_max", "speculative"],
  });
});

test("a prompt is text that the model continues", () => {
  expect(parse({ prompt: "Once upon" })).toMatchObject({
    prompt: { kind: "own", excerpt: "Once upon", path: "/completion", body: { prompt: "Once upon" } },
    dropped: [],
  });
});

test.each([
  [
    { messages, n_predict: 9 },
    { messages, max_tokens: 9 },
  ],
  [
    { messages, max_completion_tokens: 9 },
    { messages, max_tokens: 9 },
  ],
  [
    { prompt: "a", max_tokens: 9 },
    { prompt: "a", n_predict: 9 },
  ],
  [
    { messages, max_tokens: 9, n_predict: 8, max_completion_tokens: 7 },
    { messages, max_tokens: 9 },
  ],
])("the limit of tokens in %j has the name of its path", (line, body) => {
  expect(parse(line)).toMatchObject({ prompt: { body } });
  expect(Object.keys((parse(line) as { prompt: { body: object } }).prompt.body)).toHaveLength(2);
});

test.each<[unknown, string]>([
  ["text", "the line is not a JSON object"],
  [[messages], "the line is not a JSON object"],
  [{}, 'a line needs one of "messages" and "prompt"'],
  [{ messages, prompt: "a" }, 'a line needs one of "messages" and "prompt"'],
  [{ messages: [] }, '"messages" must be a list of objects with a "role"'],
  [{ messages: "Hello" }, '"messages" must be a list of objects with a "role"'],
  [{ messages: [{ content: "Hello" }] }, '"messages" must be a list of objects with a "role"'],
  [{ prompt: "" }, '"prompt" must be a text that is not empty'],
  [{ prompt: [1, 2] }, '"prompt" must be a text that is not empty'],
  [{ messages, kind: 7 }, '"kind" must be a text of 1 to 40 characters'],
  [{ messages, kind: "" }, '"kind" must be a text of 1 to 40 characters'],
  [{ messages, kind: "k".repeat(41) }, '"kind" must be a text of 1 to 40 characters'],
  [
    { messages, max_tokens: 1 },
    '"max_tokens" must be a whole number of at least 2: the first token comes with the prompt',
  ],
  [
    { prompt: "a", n_predict: -1 },
    '"n_predict" must be a whole number of at least 2: the first token comes with the prompt',
  ],
  [
    { messages, max_completion_tokens: "9" },
    '"max_completion_tokens" must be a whole number of at least 2: the first token comes with the prompt',
  ],
])("the line %j is refused", (line, wrong) => {
  expect(parse(line)).toEqual({ wrong });
});

test("a line that is no JSON, or nests without end, is refused", () => {
  expect(parsePromptLine("{")).toEqual({ wrong: "the line is not a JSON object" });
  expect(parsePromptLine(`{"messages":${"[".repeat(100_000)}`)).toEqual({ wrong: "the line is not a JSON object" });
});

test("an id depends on path and body, and not on the order of keys or the kind", () => {
  const idOf = (values: unknown) => (parse(values) as { prompt: { id: string } }).prompt.id;
  expect(idOf({ messages, temperature: 0, kind: "a" })).toBe(idOf({ kind: "b", temperature: 0, messages }));
  const ids = [{ messages }, { messages, temperature: 0 }, { prompt: "Hello" }, { prompt: "Hello " }].map(idOf);
  expect(new Set(ids).size).toBe(4);
  expect(idOf({ messages })).toBe(chatPrompt("Hello").id);
});

test.each([
  ["a\n\tb  c", "a b c"],
  ["x".repeat(60), "x".repeat(60)],
  ["x".repeat(61), `${"x".repeat(60)}…`],
  [`${"x".repeat(59)}😀y`, `${"x".repeat(59)}…`],
  ["\u001b[2J", String.raw`\x1b[2J`],
])("the excerpt of %j is %j", (text, excerpt) => {
  expect(chatPrompt(text).excerpt).toBe(excerpt);
});

test("the excerpt is of the last message, and of the first text in its parts", () => {
  const content = [{ type: "image_url" }, { type: "text", text: "What is this?" }];
  expect(parse({ messages: [...messages, { role: "user", content }] })).toMatchObject({
    prompt: { excerpt: "What is this?" },
  });
  expect(parse({ messages: [{ role: "assistant", content: null }] })).toMatchObject({ prompt: { excerpt: "" } });
});

test("any line is read or refused, and what is read is passed on unchanged", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.boolean(), (values, isChat) => {
      const { kind: _, messages: __, prompt: ___, ...rest } = values;
      const parsed = parse({ ...rest, ...(isChat ? { messages } : { prompt: "a" }) });
      if ("wrong" in parsed) return;
      for (const [key, value] of Object.entries(parsed.prompt.body))
        if (key in rest) expect(value).toEqual(JSON.parse(JSON.stringify(rest[key])));
    }),
  );
});
