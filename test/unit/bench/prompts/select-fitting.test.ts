import { expect, test } from "vitest";
import { chatPrompt } from "../../../../src/bench/prompts/parse-prompt.ts";
import { selectFitting } from "../../../../src/bench/prompts/select-fitting.ts";

/** Prompts with these numbers of letters, which count as tokens here. */
const prompts = (...lengths: number[]) =>
  lengths.map((length, index) => chatPrompt("abcdefghijkl"[index]?.repeat(length) ?? ""));
const textOf = (prompt: ReturnType<typeof chatPrompt>) => (prompt.body["messages"] as [{ content: string }])[0].content;
const select = (shipped: number[], short: number[], contextTokens: number) =>
  selectFitting(prompts(...shipped), {
    contextTokens,
    countTokens: async (prompt) => textOf(prompt).length,
    readShort: async () => prompts(...short.map((length) => length)),
  }).then(({ prompts: chosen, notes }) => ({ lengths: chosen.map((prompt) => textOf(prompt).length), notes }));

test("prompts that leave room for 64 tokens are asked, in their order", async () => {
  expect(await select([100, 90, 100], [1], 164)).toEqual({ lengths: [100, 90, 100], notes: [] });
});

test("others are left out with a note", async () => {
  expect(await select([1, 2, 3, 4, 101, 5, 6, 7, 8], [1], 164)).toEqual({
    lengths: [1, 2, 3, 4, 5, 6, 7, 8],
    notes: ["1 of the 9 shipped prompts leave no room for an answer in a context of 164 tokens: they are left out"],
  });
});

test("short ones that fit take their place where fewer than eight are left", async () => {
  expect(await select([1, 2, 3, 4, 101, 5, 6, 7], [10, 101, 11], 164)).toEqual({
    lengths: [1, 2, 3, 4, 5, 6, 7, 10, 11],
    notes: [
      "1 of the 8 shipped prompts leave no room for an answer in a context of 164 tokens: they are left out, " +
        "and 2 short questions take their place",
    ],
  });
});

test("a context that takes none is an error", async () => {
  await expect(select([101], [101], 164)).rejects.toMatchObject({
    code: "no-prompts",
    message: "no shipped prompt fits into a context of 164 tokens",
  });
});
