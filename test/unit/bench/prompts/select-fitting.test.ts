import { expect, test } from "vitest";
import type { BenchPrompt } from "../../../../src/bench/bench-prompt.ts";
import { chatPrompt } from "../../../../src/bench/prompts/parse-prompt.ts";
import { selectFitting } from "../../../../src/bench/prompts/select-fitting.ts";

/** Prompts such as `code 100`: their kind, and a number of letters, which count as tokens here. */
const prompts = (names: readonly string[]): BenchPrompt[] =>
  names.map((name) => {
    const [kind = "", length] = name.split(" ");
    return { ...chatPrompt("x".repeat(Number(length))), kind };
  });
const textOf = ({ body }: BenchPrompt) => (body["messages"] as [{ content: string }])[0].content;

async function select(shipped: string[], short: string[], contextTokens: number): Promise<unknown> {
  const chosen = await selectFitting(prompts(shipped), {
    contextTokens,
    countTokens: async (prompt) => textOf(prompt).length,
    readShort: async () => prompts(short),
  });
  return { ...chosen, prompts: chosen.prompts.map((prompt) => `${prompt.kind} ${textOf(prompt).length}`) };
}

test("prompts that leave room for 64 tokens are asked, in their order", async () => {
  const names = ["code 100", "prose 90", "code 99"];
  expect(await select(names, ["prose 1"], 164)).toEqual({ prompts: names, notes: [] });
});

test("others are left out with a note, while each kind has one", async () => {
  expect(await select(["code 100", "prose 90", "code 101"], ["prose 1"], 164)).toEqual({
    prompts: ["code 100", "prose 90"],
    notes: ["1 of the 3 shipped prompts leave no room for an answer in a context of 164 tokens: they are left out"],
  });
});

test("short questions are asked where a whole kind is too long", async () => {
  expect(await select(["code 100", "prose 101", "code 101"], ["prose 1", "prose 101", "questions 2"], 164)).toEqual({
    prompts: ["prose 1", "questions 2"],
    notes: [
      "some of the usual prompts leave no room for an answer in a context of 164 tokens: " +
        "2 short questions are asked in their place",
    ],
  });
});

test("a context that takes none is an error", async () => {
  await expect(select(["code 101"], ["prose 101"], 164)).rejects.toMatchObject({
    code: "no-prompts",
    message: "no shipped prompt fits into a context of 164 tokens",
  });
});
