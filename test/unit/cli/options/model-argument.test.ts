import { expect, test } from "vitest";
import { parseModelArgument } from "../../../../src/cli/options/model-argument.ts";

test.each([
  ["hf:unsloth/GLM-4.7-GGUF", { hf: "unsloth/GLM-4.7-GGUF" }],
  ["hf:unsloth/GLM-4.7-GGUF:UD-Q2_K_XL", { hf: "unsloth/GLM-4.7-GGUF", quant: "UD-Q2_K_XL" }],
  ["hf:o/r:Q4/m-00001-of-00002.gguf", { hf: "o/r", file: "Q4/m-00001-of-00002.gguf" }],
  ["https://models.example/a.gguf?x=1", new URL("https://models.example/a.gguf?x=1")],
  ["/models/a.gguf", "/models/a.gguf"],
  ["a.gguf", "a.gguf"],
])("%s names a model", (text, place) => {
  expect(parseModelArgument(text)).toEqual(place);
});

test.each(["hf:repo", "hf:a/b/c", "hf:a/../b:Q4", "hf:", "https://"])("%s is refused as wrong usage", (text) => {
  expect(() => parseModelArgument(text)).toThrow(expect.objectContaining({ code: "bad-model-name", exit: "usage" }));
});

test("a password is refused, and not repeated", () => {
  expect(() => parseModelArgument("https://me:secret@models.example/a.gguf")).toThrow(
    expect.objectContaining({ code: "bad-model-name", message: expect.not.stringContaining("secret") }),
  );
});
