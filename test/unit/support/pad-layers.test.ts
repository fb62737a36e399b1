import { expect, test } from "vitest";
import { padLayerCount, padLayers } from "../../support/pad-layers.ts";

test("added layers are copies of the model's own in turn, with zeros where a layer adds to the stream", () => {
  const tensors = ["token_embd", "blk.0.attn_output", "blk.0.attn_q", "blk.1.attn_output", "blk.1.ffn_down"].map(
    (name) => ({ name: `${name}.weight`, from: name }),
  );
  expect(padLayers(tensors, 3).map(({ name, from, zero }) => [name, from, zero])).toEqual([
    ...tensors.map(({ name, from }) => [name, from, false]),
    ["blk.2.attn_output.weight", "blk.0.attn_output", true],
    ["blk.2.attn_q.weight", "blk.0.attn_q", false],
    ["blk.3.attn_output.weight", "blk.1.attn_output", true],
    ["blk.3.ffn_down.weight", "blk.1.ffn_down", true],
    ["blk.4.attn_output.weight", "blk.0.attn_output", true],
    ["blk.4.attn_q.weight", "blk.0.attn_q", false],
  ]);
});

test("the metadata counts them", () => {
  expect(padLayerCount({ "llama.block_count": { type: "uint32", value: 30 } }, 60)).toEqual({
    "llama.block_count": 90,
  });
  expect(() => padLayerCount({}, 1)).toThrow("block_count");
});
