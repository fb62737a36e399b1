import { z } from "zod";

// A title says what a value is in the words of the error messages: `"health.interval" must be a duration such as …`.
// The patterns accept what base/units.ts reads.
export const duration = (standard: string) =>
  z
    .string()
    .regex(/^\d+(\.\d+)? ?(ms|s|m|h|d)$/)
    .meta({ title: "a duration such as 90s, 15m or 1h" })
    .default(standard);
export const size = (standard: string) =>
  z
    .string()
    .regex(/^\d+(\.\d+)? ?(B|[KMGT]i?B)$/)
    .meta({ title: "a size such as 64MiB or 8GiB" })
    .default(standard);
export const count = z.int().min(0);
export const rate = z.number().min(0).max(1);
export const text = z.string().min(1);
export const devices = z.array(text).min(1);

export const gpuLayers = z.union([count, z.enum(["auto", "all"])]);
export const cacheType = z.enum(["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"]);
/** llama.cpp splits the list at commas, and each item at its first equals sign. */
export const tensorOverrides = z
  .array(
    z
      .string()
      .regex(/^[^=,]+=[^=,]+$/)
      .meta({ title: "a pattern and a buffer type such as blk.*ffn=CPU" }),
  )
  .min(1);

const hubModel = z
  .strictObject({
    hf: z
      .string()
      .regex(/^\w[\w.-]*\/\w[\w.-]*$/)
      .meta({ title: "a repository written as owner/name", description: "Hugging Face repository", examples: ["unsloth/GLM-4.7-GGUF"] }),
    quant: text.optional().meta({ description: "Weight format, as it stands in the file's name", examples: ["UD-Q2_K_XL"] }),
    file: text
      .optional()
      .meta({ description: "Exact file (the first shard of a set), instead of `quant`", examples: ["model-Q4_K_M.gguf"] }),
    revision: text.optional().meta({ description: "Branch, tag or commit; `main` unless told", examples: ["main"] }),
  })
  .meta({ title: "a map with hf and quant" });

export const model = z.union([text.meta({ title: "the path of a GGUF file" }), hubModel]).meta({
  description: "A GGUF file (relative to this YAML file; the first shard of a split set), or a model on Hugging Face",
  examples: ["../models/demo-target.gguf", { hf: "unsloth/GLM-4.7-GGUF", quant: "UD-Q2_K_XL" }],
});
