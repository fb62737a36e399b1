import { readFileSync } from "node:fs";
import { LlmctlError } from "../../src/base/errors.ts";
import { parsePrompts } from "../../src/bench/prompts/read-prompts.ts";
import type { Fuzzer } from "./fuzzer.ts";
import { mutateText, nasty } from "./mutate.ts";
import type { Random } from "./random.ts";

const shipped = readFileSync(new URL("../../prompts/short.jsonl", import.meta.url), "utf8")
  .split("\n")
  .slice(0, 6);
const lines = [
  ...shipped,
  '{"prompt":"Once upon a time","n_predict":40,"stream":true,"speculative.n_max":3}',
  '{"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}],"kind":"own","max_tokens":9}',
];

/** Files of prompts: each is read as a whole, or is an error that names its wrong lines. */
export const promptsFuzzer: Fuzzer = {
  name: "prompts",
  counts: { short: 5000, full: 100_000 },
  outcomes: ["json", "text", "prompts-invalid", "no-prompts"],
  open: async () => ({
    attempt: (random: Random) => {
      const isJson = random.oneIn(2);
      const text = anyFile(random);
      try {
        const { prompts } = parsePrompts(text, isJson ? "p.jsonl" : "p.txt");
        for (const { id, body, excerpt } of prompts) {
          if (!/^[0-9a-f]{16}$/.test(id) || excerpt.includes("\n")) throw new Error(`a wrong prompt: ${id} ${excerpt}`);
          if ("stream" in body || "speculative.n_max" in body) throw new Error("the prompt changes the measurement");
        }
        if (new Set(prompts.map(({ id }) => id)).size < prompts.length) throw new Error("a prompt that is there twice");
        return isJson ? "json" : "text";
      } catch (error) {
        if (error instanceof LlmctlError) return error.code;
        throw error;
      }
    },
    [Symbol.asyncDispose]: async () => undefined,
  }),
};

function anyFile(random: Random): string {
  const chosen = Array.from({ length: random.below(5) }, () =>
    random.oneIn(8) ? random.pick(nasty) : random.pick([...lines, "---", "Tell me a story."]),
  );
  const text = chosen.join(random.pick(["\n", "\r\n", "\n\n"]));
  return random.oneIn(2) ? mutateText(text, random) : text;
}
