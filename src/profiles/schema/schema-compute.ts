import { z } from "zod";
import { cacheType, count, tensorOverrides } from "./schema-values.ts";

const batch = z.int().min(1);

/** Where the weights and the context of the target model are kept. */
export const placementKeys = {
  cpu_moe: z
    .boolean()
    .optional()
    .meta({ description: "Keep all expert weights in RAM, the rest on the GPU", examples: [true] }),
  n_cpu_moe: count
    .optional()
    .meta({ description: "Keep the expert weights of the first layers in RAM", examples: [60] }),
  override_tensor: tensorOverrides
    .optional()
    .meta({ description: "Where tensors go, each as PATTERN=BUFFER", examples: [[String.raw`\.ffn_.*_exps=CPU`]] }),
  split_mode: z
    .enum(["none", "layer", "row", "tensor"])
    .optional()
    .meta({ description: "How the model is split over several GPUs", examples: ["layer"] }),
  tensor_split: z
    .array(z.number().min(0))
    .min(1)
    .optional()
    .meta({ description: "Share of the model for each GPU, in the order of devices", examples: [[3, 1]] }),
  main_gpu: count.optional().meta({ description: "Number of the GPU for a model that is not split", examples: [0] }),
  kv_offload: z
    .boolean()
    .optional()
    .meta({ description: "Keep the context (KV cache) on the GPU", examples: [false] }),
  fit_target: z
    .array(count)
    .min(1)
    .optional()
    .meta({ description: "MiB that fit leaves free on each device; one number counts for all", examples: [[1024]] }),
  fit_ctx: count.optional().meta({ description: "Smallest context that fit may choose, in tokens", examples: [4096] }),
  numa: z
    .enum(["distribute", "isolate", "numactl"])
    .optional()
    .meta({ description: "How to use a machine with several memory nodes", examples: ["distribute"] }),
};

const factor = z.number().min(-1);

/** How the context is computed, stretched and kept. */
export const contextKeys = {
  threads_batch: z
    .int()
    .min(-1)
    .optional()
    .meta({ description: "CPU threads for prompts; default: `threads`", examples: [16] }),
  batch_size: batch.optional().meta({ description: "Largest number of prompt tokens in a batch", examples: [2048] }),
  ubatch_size: batch.optional().meta({ description: "Largest number of tokens computed in one step", examples: [512] }),
  cache_type_k: cacheType.optional().meta({ description: "Data type of the key cache", examples: ["q8_0"] }),
  cache_type_v: cacheType.optional().meta({ description: "Data type of the value cache", examples: ["q8_0"] }),
  rope: z
    .strictObject({
      scaling: z
        .enum(["none", "linear", "yarn"])
        .optional()
        .meta({ description: "Method", examples: ["yarn"] }),
      scale: z
        .number()
        .min(0)
        .optional()
        .meta({ description: "How many times longer the context is than in training", examples: [4] }),
      freq_base: z
        .number()
        .min(0)
        .optional()
        .meta({ description: "Base frequency; default: that of the model", examples: [1000000] }),
      freq_scale: z
        .number()
        .min(0)
        .optional()
        .meta({ description: "Frequency factor; 1/scale", examples: [0.25] }),
    })
    .default({})
    .meta({
      description: "Stretches the context beyond what the model was trained for",
      examples: [{ scaling: "yarn", scale: 4 }],
    }),
  yarn: z
    .strictObject({
      orig_ctx: count.optional().meta({
        description: "Context that the model was trained for; default: that of the model",
        examples: [32768],
      }),
      ext_factor: factor.optional().meta({ description: "Extrapolation mix; -1 lets llama.cpp choose", examples: [1] }),
      attn_factor: factor
        .optional()
        .meta({ description: "Attention magnitude; -1 lets llama.cpp choose", examples: [1] }),
      beta_slow: factor
        .optional()
        .meta({ description: "High correction dimension; -1 lets llama.cpp choose", examples: [1] }),
      beta_fast: factor
        .optional()
        .meta({ description: "Low correction dimension; -1 lets llama.cpp choose", examples: [32] }),
    })
    .default({})
    .meta({ description: "Settings of rope.scaling yarn", examples: [{ orig_ctx: 32768 }] }),
  kv_unified: z
    .boolean()
    .optional()
    .meta({ description: "One context for all slots, instead of an equal share for each", examples: [true] }),
  swa_full: z
    .boolean()
    .optional()
    .meta({
      description: "Keep the whole context of sliding-window layers, so that prompts can be reused",
      examples: [true],
    }),
  context_shift: z
    .boolean()
    .optional()
    .meta({ description: "Drop the oldest tokens when the context is full, instead of stopping", examples: [false] }),
  cache_prompt: z
    .boolean()
    .optional()
    .meta({ description: "Reuse the context of a prompt with the same beginning", examples: [true] }),
  cache_reuse: count
    .optional()
    .meta({ description: "Shortest run of tokens to reuse when a prompt has shifted; 0: off", examples: [256] }),
  cache_ram: z
    .int()
    .min(-1)
    .optional()
    .meta({ description: "MiB of RAM for contexts of earlier prompts; -1: no limit, 0: off", examples: [8192] }),
};
