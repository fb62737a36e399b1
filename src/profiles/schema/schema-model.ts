import { z } from "zod";
import { text } from "./schema-values.ts";

const hf = z
  .string()
  .regex(/^\w[\w.-]*\/\w[\w.-]*$/)
  .meta({
    title: "a repository written as owner/name",
    description: "Hugging Face repository",
    examples: ["unsloth/GLM-4.7-GGUF"],
  });
const revision = text.optional().meta({ description: "Branch, tag or commit; default: `main`", examples: ["main"] });

const hubModel = z
  .strictObject({
    hf,
    quant: text.optional().meta({ description: "Weight format, as in the name of the file", examples: ["UD-Q2_K_XL"] }),
    file: text.optional().meta({
      description: "Exact file (the first shard of a set), instead of `quant`",
      examples: ["model-Q4_K_M.gguf"],
    }),
    revision,
  })
  .meta({ title: "a map with hf and quant" });

/** A sidecar has no quant to be found by. */
const hubFile = z
  .strictObject({ hf, file: text.meta({ description: "Exact file", examples: ["mmproj-F16.gguf"] }), revision })
  .meta({ title: "a map with hf and file" });

const sha256 = z
  .string()
  .regex(/^[0-9a-fA-F]{64}$/)
  .meta({ title: "64 hex digits" });
const digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

const urlModel = z
  .strictObject({
    url: z
      .string()
      .regex(/^https?:\/\//)
      .meta({
        title: "an https address",
        description: "Address of a GGUF file",
        examples: ["https://models.example/model-Q4_K_M.gguf"],
      }),
    sha256: z
      .union([sha256, z.array(sha256).min(1)])
      .optional()
      .meta({
        description: "Digest that the file must have; for a split set a list with one per shard",
        examples: [digest],
      }),
  })
  .meta({ title: "a map with url" });

/** `resolvePaths` turns an address into the map with `url`, or with `hf` and `file`, before the schema sees it. */
const placeOf = (what: string) => text.meta({ title: `the path or https address of ${what}` });

export const model = z.union([placeOf("a GGUF file"), hubModel, urlModel]).meta({
  description:
    "A GGUF file (relative to this YAML file; the first shard of a split set), a model on Hugging Face, " +
    "or a file at an https address",
  examples: [
    "../models/demo-target.gguf",
    { hf: "unsloth/GLM-4.7-GGUF", quant: "UD-Q2_K_XL" },
    { url: "https://models.example/model-Q4_K_M.gguf", sha256: digest },
  ],
});

export const mmproj = z.union([placeOf("a projector"), hubFile, urlModel]).meta({
  description:
    "Projector for images and audio: a file (relative to this YAML file), one on Hugging Face, " +
    "or one at an https address",
  examples: ["mmproj-F16.gguf", { hf: "unsloth/Qwen3-VL-8B-Instruct-GGUF", file: "mmproj-F16.gguf" }],
});

const scale = z
  .number()
  .optional()
  .meta({ description: "How strongly it applies; default: 1", examples: [0.5] });

export const lora = z
  .array(
    z.union([
      placeOf("an adapter"),
      z
        .strictObject({
          path: text.meta({ description: "The adapter's file", examples: ["../adapters/style.gguf"] }),
          scale,
        })
        .meta({ title: "a map with path and scale" }),
      hubFile.extend({ scale }).meta({ title: "a map with hf, file and scale" }),
      urlModel.extend({ scale }).meta({ title: "a map with url and scale" }),
    ]),
  )
  .min(1)
  .meta({
    description: "LoRA adapters: files (relative to this YAML file), on Hugging Face, or at https addresses",
    examples: [["../adapters/style.gguf"], [{ hf: "owner/style-lora-GGUF", file: "style-F16.gguf", scale: 0.5 }]],
  });

/** The place of a file: a path (absolute after loading), a file on Hugging Face, or an address. */
export type ModelRef = string | RemoteModelRef;

/** A file that may have to be fetched. */
export type RemoteModelRef = HubModelRef | UrlModelRef;

/** A model on Hugging Face. A profile sets exactly one of `quant` and `file`. */
export type HubModelRef = z.infer<typeof hubModel>;

/** A file at an address of any server; the first shard of a split set. `sha256` is its digest, or has one per shard. */
export type UrlModelRef = z.infer<typeof urlModel>;
