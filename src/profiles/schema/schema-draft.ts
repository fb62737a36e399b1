import { z } from "zod";
import { model } from "./schema-model.ts";
import { cacheType, count, devices, gpuLayers, rate, tensorOverrides, text } from "./schema-values.ts";

/** Speculative decoding. */
export const draft = z.strictObject({
  model: model.optional(),
  type: text.default("draft-simple").meta({
    description: "Drafting type, in the words of the build's --spec-type; always passed to builds that have it",
    examples: ["draft-simple", "draft-mtp", "ngram-mod"],
  }),
  devices: devices.optional().meta({ description: "Devices for the draft model", examples: [["CUDA0", "CUDA1"]] }),
  ctx_size: count
    .optional()
    .meta({ description: "Context of the draft model in tokens, on builds with an option for it", examples: [16384] }),
  n_max: count.optional().meta({
    description: "Largest number of tokens per draft; default with draft-simple: 16, on every build",
    examples: [16],
  }),
  n_min: count.optional().meta({ description: "Smallest number of tokens per draft", examples: [0] }),
  p_min: rate.optional().meta({
    description: "Lowest probability of a drafted token, 0..1; default with draft-simple: 0.75, on every build",
    examples: [0.75],
  }),
  ngram_size: z
    .int()
    .min(1)
    .optional()
    .meta({
      description: "Number of equal tokens after which an ngram type drafts what followed them before",
      examples: [12],
    }),
  gpu_layers: gpuLayers
    .optional()
    .meta({ description: "Layers of the draft model kept on the GPU", examples: ["all"] }),
  threads: z
    .int()
    .min(-1)
    .optional()
    .meta({ description: "CPU threads of the draft model; default: those of the target", examples: [8] }),
  cache_type_k: cacheType
    .optional()
    .meta({ description: "Data type of the draft model's key cache", examples: ["q8_0"] }),
  cache_type_v: cacheType
    .optional()
    .meta({ description: "Data type of the draft model's value cache", examples: ["q8_0"] }),
  cpu_moe: z
    .boolean()
    .optional()
    .meta({ description: "Keep all expert weights of the draft model in RAM", examples: [true] }),
  n_cpu_moe: count
    .optional()
    .meta({ description: "Keep the expert weights of the draft model's first layers in RAM", examples: [20] }),
  override_tensor: tensorOverrides.optional().meta({
    description: "Where tensors of the draft model go, each as PATTERN=BUFFER",
    examples: [[String.raw`\.ffn_.*_exps=CPU`]],
  }),
  on_mismatch: z
    .enum(["disable", "fail"])
    .default("disable")
    .meta({
      description: "When the draft cannot speed up the target: serve without drafting and say so, or refuse to start",
      examples: ["fail"],
    }),
  on_loss: z
    .enum(["warn", "restart"])
    .default("warn")
    .meta({
      description:
        "When drafting makes the running server slower: say so, or also restart it once without the draft when idle",
      examples: ["restart"],
    }),
});
