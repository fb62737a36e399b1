import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { ModelFacts } from "../../../src/gguf/model-facts.ts";
import { readModelFacts } from "../../../src/gguf/model-facts.ts";
import { readModel } from "../../../src/gguf/read-model.ts";
import type { TokenizerFacts } from "../../../src/gguf/tokenizer-facts.ts";
import type { Part, TensorPart } from "../../support/gguf-builder.ts";
import { modelFrom, modelKeys } from "../../support/gguf-builder.ts";

async function facts(overrides: Record<string, Part> = {}, tensors: TensorPart[] = []): Promise<ModelFacts> {
  return readModelFacts(await modelFrom({ metadata: modelKeys(overrides), tensors }));
}

async function tokenizer(overrides: Record<string, Part>, without: readonly string[] = []): Promise<TokenizerFacts> {
  const metadata = modelKeys(overrides);
  for (const key of without) delete metadata[`tokenizer.ggml.${key}`];
  return readModelFacts(await modelFrom({ metadata })).tokenizer;
}

const ids = ["bos_token_id", "eos_token_id", "eot_token_id"];

test("the demo target's facts are those of its card", async () => {
  const model = await readModel(fileURLToPath(new URL("../../../models/demo-target.gguf", import.meta.url)));
  const demo = readModelFacts(model);
  expect(demo).toMatchObject({
    architecture: "llama",
    quant: "Q8_0",
    layers: 4,
    nextnLayers: 0,
    contextLength: 512,
    embeddingLength: 192,
    heads: 6,
    kvBytesPerToken: 4 * 2 * 192 * 2,
    sizeBytes: 2_036_032,
  });
  expect(demo.parameters / 1e6).toBeCloseTo(1.89, 2);
  expect(demo.tokenizer).toMatchObject({
    vocabType: "BPE",
    pre: "gpt-2",
    tokenCount: 640,
    bosId: 0,
    eosId: 0,
    eotId: 2,
    addBos: false,
    addEos: false,
  });
  expect(demo.chatTemplateHash).toMatch(/^[0-9a-f]{64}$/);
});

describe("the KV cache of one token, f16", () => {
  test("counts the key and value heads of every layer", async () => {
    expect((await facts()).kvBytesPerToken).toBe(2 * 2 * (16 + 16) * 2);
  });

  test("is that of GLM-4.7's model card: 92 trunk layers, 8 heads of 128, without the NextN layer", async () => {
    const glm = await facts({
      "general.architecture": "glm4moe",
      "glm4moe.block_count": 93,
      "glm4moe.nextn_predict_layers": 1,
      "glm4moe.embedding_length": 5120,
      "glm4moe.attention.head_count": 96,
      "glm4moe.attention.head_count_kv": 8,
      "glm4moe.attention.key_length": 128,
      "glm4moe.attention.value_length": 128,
    });
    expect(glm.kvBytesPerToken).toBe(376_832);
  });

  test("follows heads that differ from layer to layer, and layers without a cache", async () => {
    expect((await facts({ "llama.attention.head_count_kv": [0, 2] })).kvBytesPerToken).toBe(2 * 2 * (16 + 16));
    expect((await facts({ "llama.block_count": 8, "llama.full_attention_interval": 4 })).kvBytesPerToken).toBe(
      2 * 2 * 2 * (16 + 16),
    );
    expect((await facts({ "llama.attention.shared_kv_layers": 1 })).kvBytesPerToken).toBe(2 * 2 * (16 + 16));
  });

  test("keeps no values of its own for multi-head latent attention", async () => {
    const latent = {
      "llama.attention.head_count_kv": 1,
      "llama.attention.key_length": 576,
      "llama.attention.value_length": 512,
    };
    const mla = { "llama.attention.key_length_mla": 192, "llama.attention.value_length_mla": 128 };
    expect((await facts({ ...latent, ...mla })).kvBytesPerToken).toBe(2 * 2 * 576);
  });

  test("is unknown where the header does not say enough", async () => {
    expect((await facts({ "llama.block_count": 100_000 })).kvBytesPerToken).toBeUndefined();
    expect((await facts({ "general.architecture": "other" })).kvBytesPerToken).toBeUndefined();
  });
});

test("the weight format is what the file says, else the type of most weights", async () => {
  const tensors = [
    { name: "norm", ne: [64] },
    { name: "weight", ne: [256, 4], type: 12, data: Buffer.alloc(576) },
  ];
  expect((await facts({ "general.file_type": 15 }, tensors)).quant).toBe("Q4_K_M");
  expect((await facts({}, tensors)).quant).toBe("Q4_K");
  expect((await facts()).quant).toBeUndefined();
});

test("NextN layers are declared in a key, and present or left out as tensors", async () => {
  const declared = { "llama.nextn_predict_layers": 1 };
  expect(await facts(declared)).toMatchObject({ nextnLayers: 1, hasNextnTensors: false });
  expect(await facts(declared, [{ name: "blk.1.nextn.eh_proj.weight", ne: [4] }])).toMatchObject({
    nextnLayers: 1,
    hasNextnTensors: true,
  });
});

describe("what llama.cpp derives when tokenizer keys are absent", () => {
  const many = { "tokenizer.ggml.tokens": Array.from({ length: 200 }, (_, id) => `t${id}`) };

  test.each([
    ["llama", { vocabType: "SPM", bosId: 1, eosId: 2, addBos: true, addEos: false }],
    ["gpt2", { vocabType: "BPE", bosId: 11, eosId: 11, addBos: false, addEos: false }],
    ["gemma4", { vocabType: "BPE", bosId: undefined, eosId: undefined, addBos: true, addEos: false }],
    ["bert", { vocabType: "WPM", bosId: 101, eosId: undefined, addBos: true, addEos: false }],
    ["t5", { vocabType: "UGM", bosId: undefined, eosId: 1, addBos: false, addEos: true }],
    ["rwkv", { vocabType: "RWKV", bosId: undefined, eosId: undefined, addBos: false, addEos: false }],
    ["plamo2", { vocabType: "PLAMO2", bosId: 1, eosId: 2, addBos: false, addEos: false }],
    ["no_vocab", { vocabType: "none", bosId: undefined, eosId: undefined, addBos: false, addEos: false }],
  ])("tokenizer %s", async (model, expected) => {
    const keys = {
      ...many,
      "tokenizer.ggml.model": model,
      "tokenizer.ggml.token_type": Array.from({ length: 200 }, () => 1),
    };
    const found = await tokenizer(keys, ids);
    expect(found).toMatchObject({ ...expected, loadProblem: undefined });
  });

  test("pre-tokenizers change the defaults of BPE, and of BPE only", async () => {
    expect(await tokenizer({ "tokenizer.ggml.pre": "glm4" }, ids)).toMatchObject({
      bosId: undefined,
      eosId: 11,
      addBos: false,
    });
    expect(await tokenizer({ "tokenizer.ggml.pre": "llama-bpe" }, ids)).toMatchObject({ bosId: 11, addBos: true });
    expect(await tokenizer({ "tokenizer.ggml.pre": "glm4", "tokenizer.ggml.model": "llama" }, ids)).toMatchObject({
      bosId: 1,
      pre: undefined,
    });
  });

  test("keys win over defaults, but for the pre-tokenizer that forces a bos", async () => {
    const none = { "tokenizer.ggml.add_bos_token": false };
    expect(await tokenizer({ "tokenizer.ggml.pre": "llama-bpe", ...none })).toMatchObject({ addBos: false, bosId: 0 });
    expect(await tokenizer({ "tokenizer.ggml.pre": "gemma4", ...none })).toMatchObject({ addBos: true });
  });

  test("an id outside the vocabulary is ignored", async () => {
    expect(await tokenizer({ "tokenizer.ggml.eos_token_id": 32 })).toMatchObject({ eosId: 11 });
    const five = { "tokenizer.ggml.tokens": ["a", "b", "c", "d", "e"], "tokenizer.ggml.token_type": [1, 1, 1, 1, 1] };
    expect(await tokenizer({ ...five, "tokenizer.ggml.eos_token_id": 32 })).toMatchObject({ eosId: undefined });
  });

  test("the end-of-turn token is found by its text when exactly one token has it", async () => {
    const tokens = (...texts: string[]) => ({
      "tokenizer.ggml.tokens": [...texts, "a<|im_end|>", ...Array.from({ length: 30 }, (_, id) => `t${id}`)],
    });
    expect((await tokenizer(tokens("x", "<|im_end|>"), ids)).eotId).toBe(1);
    expect((await tokenizer(tokens("<|im_end|>", "<|endoftext|>"), ids)).eotId).toBeUndefined();
    expect((await tokenizer(tokens("x", "y"), ids)).eotId).toBeUndefined();
    expect((await tokenizer(tokens("<|eom_id|>"), ids)).eomId).toBe(0);
  });

  test.each([
    ["it has no tokenizer (tokenizer.ggml.model is absent)", {}, ["model"]],
    ["it has no list of tokens", {}, ["tokens"]],
    ["its BPE tokenizer has no merges", {}, ["merges"]],
    ["tokenizer.ggml.token_type has 1 entries for 32 tokens", { "tokenizer.ggml.token_type": [1] }, []],
    ["tokenizer.ggml.token_type is string, not a list of int32", { "tokenizer.ggml.token_type": ["1"] }, []],
    [
      "tokenizer.ggml.scores is int8, not a list of float32 or int32",
      { "tokenizer.ggml.scores": { type: "int8", value: 1 } as const },
      [],
    ],
    [
      "tokenizer.ggml.padding_token_id is int32, not uint32",
      { "tokenizer.ggml.padding_token_id": { type: "int32", value: 0 } as const },
      [],
    ],
    [
      "tokenizer.ggml.bos_token_id is int32, not uint32",
      { "tokenizer.ggml.bos_token_id": { type: "int32", value: 0 } as const },
      [],
    ],
    ["tokenizer.ggml.add_bos_token is uint32, not bool", { "tokenizer.ggml.add_bos_token": 1 }, []],
  ])("a vocabulary that llama.cpp refuses is reported: %s", async (problem, overrides, without) => {
    expect((await tokenizer(overrides, without)).loadProblem).toBe(problem);
  });
});
