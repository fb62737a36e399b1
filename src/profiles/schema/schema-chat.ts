import { z } from "zod";
import { lora, mmproj } from "./schema-model.ts";
import { count, rate, text } from "./schema-values.ts";

const penalty = z.number().min(-2).max(2);

/** Defaults for values that a request may also set. */
export const sampling = z
  .strictObject({
    temp: z
      .number()
      .min(0)
      .optional()
      .meta({ description: "Temperature", examples: [1.0] }),
    top_p: rate.optional().meta({ description: "Nucleus sampling, 0..1", examples: [0.95] }),
    top_k: count.optional().meta({ description: "Top-k sampling; 0 turns it off", examples: [40] }),
    min_p: rate
      .optional()
      .meta({ description: "Lowest probability relative to the best token, 0..1", examples: [0.05] }),
    presence_penalty: penalty
      .optional()
      .meta({ description: "Penalty for tokens that occurred before, -2..2", examples: [1.5] }),
    frequency_penalty: penalty
      .optional()
      .meta({ description: "Penalty for tokens by how often they occurred, -2..2", examples: [0] }),
    repeat_penalty: z
      .number()
      .min(0)
      .optional()
      .meta({ description: "Penalty for repetition; 1 turns it off", examples: [1.05] }),
    repeat_last_n: count
      .optional()
      .meta({ description: "Number of last tokens that the penalties look at", examples: [64] }),
    seed: z
      .int()
      .min(-1)
      .optional()
      .meta({ description: "Random seed; -1 is random", examples: [42] }),
  })
  .default({})
  .meta({ description: "Defaults for requests that do not set a value", examples: [{ temp: 1.0, top_p: 0.95 }] });

/** How a chat becomes a prompt, and an answer a message. */
export const chatKeys = {
  chat_template: text.optional().meta({
    description: "Name of a built-in chat template, or its text; default: that of the model",
    examples: ["chatml"],
  }),
  chat_template_file: text
    .optional()
    .meta({ description: "File with a chat template (relative to this YAML file)", examples: ["glm.jinja"] }),
  chat_template_kwargs: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
    .optional()
    .meta({ description: "Variables for the chat template", examples: [{ enable_thinking: false }] }),
  reasoning: z
    .enum(["on", "off", "auto"])
    .optional()
    .meta({ description: "Whether the model thinks before it answers", examples: ["off"] }),
  reasoning_format: z
    .enum(["none", "deepseek", "deepseek-legacy", "auto"])
    .optional()
    .meta({ description: "Where the thinking stands in an answer", examples: ["deepseek"] }),
  reasoning_budget: z
    .int()
    .min(-1)
    .optional()
    .meta({ description: "Largest number of thinking tokens; -1: no limit, 0: none", examples: [4096] }),
  reasoning_effort: text
    .optional()
    .meta({ description: "How hard to think, in the words of the chat template", examples: ["high"] }),
};

/** Sidecars, and models that are not for text. */
export const adapterKeys = {
  lora: lora.optional(),
  mmproj: mmproj.optional(),
  mmproj_offload: z
    .boolean()
    .optional()
    .meta({ description: "Compute the projector on the GPU", examples: [false] }),
  embeddings: z
    .boolean()
    .optional()
    .meta({ description: "Serve embeddings only, with a model made for them", examples: [true] }),
  rerank: z
    .boolean()
    .optional()
    .meta({ description: "Serve reranking only, with a model made for it", examples: [true] }),
  pooling: z
    .enum(["none", "mean", "cls", "last", "rank"])
    .optional()
    .meta({ description: "How token embeddings become one; default: that of the model", examples: ["last"] }),
};
