import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { ModelFacts } from "../../../src/gguf/model-facts.ts";
import { mostLayers, readContextLength, readModelFacts } from "../../../src/gguf/model-facts.ts";
import { readModel } from "../../../src/gguf/read-model.ts";
import type { Part, TensorPart } from "../../support/gguf-builder.ts";
import { modelFrom, modelKeys } from "../../support/gguf-builder.ts";

async function facts(overrides: Record<string, Part> = {}, tensors: TensorPart[] = []): Promise<ModelFacts> {
  return readModelFacts(await modelFrom({ metadata: modelKeys(overrides), tensors }));
}

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

test("every fact has its key, and is unknown without it", async () => {
  const keys = {
    "general.name": "N",
    "llama.block_count": 3,
    "llama.nextn_predict_layers": 1,
    "llama.context_length": 4096,
    "llama.embedding_length": 64,
    "llama.embedding_length_out": 32,
    "llama.attention.head_count": [4, 8, 2],
    "llama.attention.head_count_kv": [1, 2, 1],
    "llama.attention.sliding_window": 128,
    "llama.expert_count": 16,
    "llama.expert_used_count": [2, 4, 4],
    "tokenizer.chat_template": "x",
  };
  const tensors = [
    { name: "a", ne: [3, 4] },
    { name: "b", ne: [5] },
  ];
  const found = await facts(keys, tensors);
  expect({ ...found, tokenizer: undefined, sizeBytes: 0, shards: [] }).toEqual({
    shards: [],
    sizeBytes: 0,
    architecture: "llama",
    name: "N",
    parameters: 17,
    quant: "F32",
    layers: 3,
    nextnLayers: 1,
    hasNextnTensors: false,
    contextLength: 4096,
    embeddingLength: 64,
    outputLength: 32,
    heads: 8,
    kvHeads: 2,
    kvBytesPerToken: 2 * (16 + 16) * 3,
    slidingWindow: 128,
    experts: 16,
    expertsUsed: 4,
    tokenizer: undefined,
    chatTemplateHash: "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
  });
  expect(found.shards).toEqual([{ path: "model.gguf", sizeBytes: found.sizeBytes }]);
  const none = readModelFacts(await modelFrom({}));
  expect({ ...none, tokenizer: undefined }).toEqual({
    shards: [{ path: "model.gguf", sizeBytes: 24 }],
    sizeBytes: 24,
    parameters: 0,
    nextnLayers: 0,
    hasNextnTensors: false,
  });
});

test("without keys of their own, the output is as wide as the embedding, and each head has a KV head", async () => {
  expect(await facts({ "llama.attention.head_count_kv": "none" })).toMatchObject({ outputLength: 64, kvHeads: 4 });
});

test("the context length can be read alone", async () => {
  expect(readContextLength(await modelFrom({ metadata: modelKeys() }))).toBe(512);
  expect(readContextLength(await modelFrom({}))).toBeUndefined();
});

test("a list that is longer than any model has layers is not decoded", async () => {
  const heads = (count: number) => facts({ "llama.attention.head_count": Array.from({ length: count }, () => 8) });
  expect((await heads(mostLayers)).heads).toBe(8);
  expect((await heads(mostLayers + 1)).heads).toBeUndefined();
});

test("keys of another architecture are not read", async () => {
  expect(await facts({ "general.architecture": "qwen3", "qwen3.block_count": 7 })).toMatchObject({
    layers: 7,
    contextLength: undefined,
    heads: undefined,
  });
});

describe("the KV cache of one token, f16", () => {
  test.each<readonly [string, Record<string, Part>, number | undefined]>([
    [
      "keys and values of different lengths",
      { "llama.attention.key_length": 10, "llama.attention.value_length": 6 },
      2 * 2 * 2 * 16,
    ],
    ["a length of its own for keys", { "llama.attention.key_length": 10 }, 2 * 2 * 2 * (10 + 16)],
    ["a length of its own for values", { "llama.attention.value_length": 10 }, 2 * 2 * 2 * (16 + 10)],
    ["heads that do not divide the width", { "llama.attention.head_count": 3 }, 2 * 2 * 2 * (21 + 21)],
    ["no key for KV heads", { "llama.attention.head_count_kv": "none" }, 2 * 2 * 4 * (16 + 16)],
    ["no heads at all", { "llama.attention.head_count": 0 }, undefined],
    [
      "no heads, but lengths",
      { "llama.attention.head_count": 0, "llama.attention.key_length": 1, "llama.attention.value_length": 1 },
      2 * 2 * 2 * 2,
    ],
    ["no width", { "llama.embedding_length": "none" }, undefined],
    ["no layers", { "llama.block_count": "none" }, undefined],
    ["the most layers", { "llama.block_count": mostLayers }, 2 * mostLayers * 2 * (16 + 16)],
    ["more than the most layers", { "llama.block_count": mostLayers + 1 }, undefined],
    ["a list for more layers than there are", { "llama.attention.head_count_kv": [1, 1, 50] }, 2 * 2 * (16 + 16)],
    ["more NextN layers than layers", { "llama.nextn_predict_layers": 9 }, 0],
    ["only one of the keys of latent attention", { "llama.attention.key_length_mla": 8 }, 2 * 2 * 2 * 32],
    ["the other one of them", { "llama.attention.value_length_mla": 8 }, 2 * 2 * 2 * 32],
    ["attention in every layer", { "llama.full_attention_interval": 1 }, 2 * 2 * 2 * 32],
    ["attention in every second layer", { "llama.block_count": 5, "llama.full_attention_interval": 2 }, 2 * 2 * 2 * 32],
    [
      "NextN and shared layers together",
      { "llama.block_count": 4, "llama.nextn_predict_layers": 1, "llama.attention.shared_kv_layers": 2 },
      2 * 2 * 32,
    ],
  ])("with %s", async (_, keys, bytes) => {
    expect((await facts(keys)).kvBytesPerToken).toBe(bytes);
  });

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
  const q4 = (name: string) => ({ name, ne: [256], type: 12, data: Buffer.alloc(144) });
  expect((await facts({}, [{ name: "large", ne: [500] }, q4("a"), q4("b")])).quant).toBe("Q4_K");
  expect((await facts({}, [{ name: "large", ne: [600] }, q4("a"), q4("b")])).quant).toBe("F32");
  expect((await facts({ "general.file_type": 9999 }, [q4("a")])).quant).toBe("Q4_K");
  expect((await facts({}, [{ name: "new", ne: [1], type: 200, data: Buffer.alloc(0) }])).quant).toBeUndefined();
});

test("NextN layers are declared in a key, and present or left out as tensors", async () => {
  const declared = { "llama.nextn_predict_layers": 1 };
  expect(await facts(declared)).toMatchObject({ nextnLayers: 1, hasNextnTensors: false });
  expect(await facts(declared, [{ name: "blk.1.nextn.eh_proj.weight", ne: [4] }])).toMatchObject({
    nextnLayers: 1,
    hasNextnTensors: true,
  });
});
