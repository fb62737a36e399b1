import { describe, expect, test } from "vitest";
import { readActiveWeights } from "../../../src/gguf/active-weights.ts";
import type { TensorInfo } from "../../../src/gguf/gguf-header.ts";
import type { GgufModel } from "../../../src/gguf/read-model.ts";
import { buildGguf, type Part } from "../../support/gguf-builder.ts";
import { bufferSource } from "../../../src/gguf/byte-source.ts";
import { readHeaderFrom } from "../../../src/gguf/read-header.ts";

type Shape = readonly [name: string, ...ne: number[]];

/** A model of these tensors, all in one type; no data, so a model may have any size. */
async function model(metadata: Readonly<Record<string, Part>>, shapes: readonly Shape[], type = 8): Promise<GgufModel> {
  const bytes = buildGguf({ metadata: { "general.architecture": "glm4moe", ...metadata } });
  const header = await readHeaderFrom(bufferSource(bytes, "model.gguf"));
  const tensors = shapes.map(([name, ...ne]): TensorInfo => ({ name, ne, type, offset: 0 }));
  const whole = { ...header, tensors };
  return { header: whole, shards: [whole] };
}

interface GlmSizes {
  readonly width: number;
  readonly layers: number;
  readonly denseLayers: number;
  readonly feedForward: number;
  readonly expertForward: number;
  readonly experts: number;
}

/** The values of the models' config.json: 96 heads of 128, 8 of them for keys, 8 experts and a shared one a token. */
const glm47 = { width: 5120, layers: 92, denseLayers: 3, feedForward: 12_288, expertForward: 1536, experts: 160 };
const air = { width: 4096, layers: 46, denseLayers: 1, feedForward: 10_944, expertForward: 1408, experts: 128 };

async function glm({ width, layers, denseLayers, feedForward, expertForward, experts }: GlmSizes) {
  const block = (layer: number): Shape[] => {
    const own = (name: string, ...ne: number[]): Shape => [`blk.${layer}.${name}.weight`, ...ne];
    const attention = [
      own("attn_q", width, 12_288),
      own("attn_k", width, 1024),
      own("attn_v", width, 1024),
      own("attn_output", 12_288, width),
    ];
    if (layer < denseLayers)
      return [...attention, ...["ffn_gate", "ffn_up", "ffn_down"].map((name) => own(name, width, feedForward))];
    const names = ["ffn_gate", "ffn_up", "ffn_down"];
    return [
      ...attention,
      own("ffn_gate_inp", width, experts),
      ...names.map((name) => own(`${name}_exps`, width, expertForward, experts)),
      ...names.map((name) => own(`${name}_shexp`, width, expertForward)),
    ];
  };
  return model(
    {
      "glm4moe.block_count": layers + 1,
      "glm4moe.nextn_predict_layers": 1,
      "glm4moe.expert_count": experts,
      "glm4moe.expert_used_count": 8,
    },
    [
      ["token_embd.weight", width, 151_552],
      ["output.weight", width, 151_552],
      ...Array.from({ length: layers + 1 }, (_, layer) => block(layer)).flat(),
      [`blk.${layers}.nextn.eh_proj.weight`, 2 * width, width],
      [`blk.${layers}.nextn.embed_tokens.weight`, width, 151_552],
    ],
  );
}

describe("the weights that are read for one token", () => {
  test("of GLM-4.7 and GLM-4.5-Air are 32 and 12 billion, as published: a share of nearly 0.4", async () => {
    const target = readActiveWeights(await glm(glm47));
    const draft = readActiveWeights(await glm(air));
    expect(target.token.parameters / 1e9).toBeCloseTo(32.9, 1);
    expect(draft.token.parameters / 1e9).toBeCloseTo(12.8, 1);
    expect(draft.token.parameters / target.token.parameters).toBeCloseTo(0.39, 2);
    // Q8_0 has 34 bytes for 32 weights.
    expect(target.token.bytes / target.token.parameters).toBeCloseTo(34 / 32, 6);
    expect(target.nextn?.parameters).toBe(5120 * (2 * 12_288 + 2 * 1024 + 160 + 3 * 1536 * 9 + 2 * 5120 + 151_552));
  });

  test("are all of a dense model but the embeddings", async () => {
    const shapes: Shape[] = [
      ["token_embd.weight", 64, 100],
      ["output.weight", 64, 100],
      ["blk.0.ffn_up.weight", 64, 32],
    ];
    expect(readActiveWeights(await model({}, shapes))).toEqual({
      token: { parameters: 6400 + 2048, bytes: ((6400 + 2048) / 32) * 34 },
      nextn: undefined,
    });
  });

  test("are the embeddings, too, where they are the output", async () => {
    const tied = await model({}, [["token_embd.weight", 64, 100]]);
    expect(readActiveWeights(tied).token.parameters).toBe(6400);
  });

  test("have no known bytes when a type is newer than our table", async () => {
    const newer = await model({}, [["output.weight", 64, 100]], 9999);
    expect(readActiveWeights(newer).token).toEqual({ parameters: 6400, bytes: 0 });
  });

  test("a model that uses more experts than it has is taken to use all", async () => {
    const odd = await model({ "glm4moe.expert_count": 2, "glm4moe.expert_used_count": 5 }, [
      ["output.weight", 32, 1],
      ["blk.0.ffn_up_exps.weight", 32, 2, 2],
    ]);
    expect(readActiveWeights(odd).token.parameters).toBe(32 + 128);
  });
});
