import { afterEach, beforeEach, expect, test } from "vitest";
import { readPrompts, readShortPrompts } from "../../../../src/bench/prompts/read-prompts.ts";
import { choosePrompts, samplePrompts } from "../../../../src/bench/run/choose-prompts.ts";
import type { BenchServer } from "../../../../src/bench/servers/bench-server.ts";
import { AnsweringServer } from "../../../support/answering-server.ts";
import { FakeKeeper, makePrompts } from "../../../support/fake-contest.ts";

let server: AnsweringServer;
let starts: number;
/** Tokens of the server's context. A token has four characters. */
let context: number;

beforeEach(async () => {
  [context, starts] = [8192, 0];
  server = await AnsweringServer.listen();
  server.answer = (response, { path, body }) => {
    const { messages, content } = (body ?? {}) as { readonly messages?: unknown; readonly content?: string };
    const answers: Readonly<Record<string, unknown>> = {
      "/props": { default_generation_settings: { n_ctx: context } },
      "/apply-template": { prompt: JSON.stringify(messages) },
      "/tokenize": { tokens: Array.from({ length: Math.ceil((content ?? "").length / 4) }, () => 1) },
    };
    response.end(JSON.stringify(answers[path]));
  };
});
afterEach(() => server[Symbol.asyncDispose]());

const options = (keeper = new FakeKeeper()) => ({
  keeper,
  server: async () => {
    starts += 1;
    return { endpoint: server.endpoint } as BenchServer;
  },
  signal: new AbortController().signal,
});

test("prompts of the user are asked as they are, and need no server", async () => {
  const own = makePrompts(3);
  expect(await choosePrompts(own, options())).toEqual({ prompts: own, notes: [] });
  expect(starts).toBe(0);
});

test("without them the shipped ones are asked, when they fit", async () => {
  const { prompts, notes } = await choosePrompts(undefined, options());
  expect(prompts).toEqual((await readPrompts(undefined)).prompts);
  expect(notes).toEqual([]);
});

test("short questions take the place of what does not fit, and that is said", async () => {
  context = 128;
  const { prompts, notes } = await choosePrompts(undefined, options());
  expect(prompts).toEqual(await readShortPrompts());
  expect(notes).toEqual([expect.stringContaining("context of 128 tokens")]);
});

test("the choice is kept, so that a run which goes on needs no server for it", async () => {
  context = 128;
  const keeper = new FakeKeeper();
  const first = await choosePrompts(undefined, options(keeper));
  context = 8192;
  expect(await choosePrompts(undefined, options(keeper))).toEqual(first);
  expect(starts).toBe(1);
});

test("a kept choice with prompts of another version is made again", async () => {
  const keeper = new FakeKeeper();
  await keeper.put("shipped prompts", { ids: ["of another version"], notes: [] });
  expect((await choosePrompts(undefined, options(keeper))).prompts).toEqual((await readPrompts(undefined)).prompts);
  expect(starts).toBe(1);
});

test.each([
  [64, 64],
  [65, 64],
  [1000, 64],
])("of %i prompts %i are asked, evenly spread", (count, expected) => {
  const { prompts, notes } = samplePrompts({ prompts: makePrompts(count), notes: ["a note"] }, 64);
  expect(prompts).toHaveLength(expected);
  const places = prompts.map(({ id }) => makePrompts(count).findIndex((prompt) => prompt.id === id));
  const gaps = places.map((place, index) => place - (places[index - 1] ?? -1));
  expect(Math.max(...gaps) - Math.min(...gaps)).toBeLessThanOrEqual(1);
  expect(notes).toEqual(count === 64 ? ["a note"] : ["a note", `64 of the ${count} prompts were asked, evenly spread`]);
});
