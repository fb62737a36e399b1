import { expect, test } from "vitest";
import { formatModel, toJson } from "../../../../src/cli/look/inspect.ts";
import { modelFrom, modelKeys } from "../../../support/gguf-builder.ts";

const parts = {
  metadata: modelKeys({
    "general.file_type": 0,
    "tokenizer.chat_template": "{{ messages }}",
    "llama.nextn_predict_layers": 1,
  }),
  tensors: [{ name: "token_embd.weight", ne: [64, 32] }],
};

test("a model's facts are lines of key and value, aligned", async () => {
  const model = await modelFrom(parts, "small.gguf");
  expect(formatModel(model)).toBe(
    [
      `file           small.gguf (1 file, ${(model.header.sizeBytes / 1000).toFixed(1)} kB)`,
      "format         GGUF version 3, little-endian, 18 keys, 1 tensor",
      "name           small",
      "architecture   llama",
      "parameters     2048",
      `quant          F32 (${((model.header.sizeBytes * 8) / 2048).toFixed(1)} bits for each parameter)`,
      "layers         2",
      "MTP layers     1 declared, but their tensors are not in the file",
      "context        512 tokens",
      "width          64",
      "heads          4, 2 for keys and values",
      "KV cache       128 B for each token (f16)",
      "tokenizer      gpt2 (gpt-2), 32 tokens, 2 merges",
      'bos            0 "token0", not added',
      'eos            0 "token0", not added',
      'eot            2 "token2"',
      "chat template  sha256 f24189f08c85a1eb",
      "",
    ].join("\n"),
  );
});

test("a model's facts in JSON are plain data, the vocabulary as counts", async () => {
  const json = JSON.parse(JSON.stringify(toJson(await modelFrom(parts)))) as Record<string, unknown>;
  expect(json).toMatchObject({
    architecture: "llama",
    parameters: 2048,
    format: { version: 3, byteOrder: "little" },
    tokenizer: { vocabType: "BPE", tokenCount: 32, mergeCount: 2, bosId: 0 },
  });
  expect(Object.keys(json["tokenizer"] as object)).not.toContain("tokens");
});

test("a file without a model is described all the same", async () => {
  const text = formatModel(await modelFrom({ metadata: { "general.architecture": "clip" } }, "mmproj.gguf"));
  expect(text).toContain("architecture   clip\n");
  expect(text).toContain("tokenizer      none\n");
});
