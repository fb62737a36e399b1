import { z } from "zod";
import { profileNamePattern } from "./name.ts";

export { profileNamePattern };

// A title says what a value is in the words of the error messages: `"health.interval" must be a duration such as …`.
// The patterns accept what base/units.ts reads.
const duration = (standard: string) =>
  z
    .string()
    .regex(/^\d+(\.\d+)? ?(ms|s|m|h|d)$/)
    .meta({ title: "a duration such as 90s, 15m or 1h" })
    .default(standard);
const size = (standard: string) =>
  z
    .string()
    .regex(/^\d+(\.\d+)? ?(B|[KMGT]i?B)$/)
    .meta({ title: "a size such as 64MiB or 8GiB" })
    .default(standard);
const count = z.int().min(0);
const rate = z.number().min(0).max(1);
const text = z.string().min(1);
const devices = z.array(text).min(1);

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

const model = z.union([text.meta({ title: "the path of a GGUF file" }), hubModel]).meta({
  description: "A GGUF file (relative to this YAML file; the first shard of a split set), or a model on Hugging Face",
  examples: ["../models/demo-target.gguf", { hf: "unsloth/GLM-4.7-GGUF", quant: "UD-Q2_K_XL" }],
});

const gpuLayers = z.union([count, z.enum(["auto", "all"])]);
const flashAttention = z.enum(["on", "off", "auto"]);
const cacheType = z.enum(["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"]);

const draft = z.strictObject({
  model: model.optional(),
  type: text.default("draft-simple").meta({
    description: "Drafting type, in the words of the build's --spec-type; always made explicit on builds that have it",
    examples: ["draft-simple", "ngram-mod"],
  }),
  devices: devices.optional().meta({ description: "Devices for the draft model", examples: [["CUDA0", "CUDA1"]] }),
  ctx_size: count.optional().meta({ description: "Context of the draft model in tokens, on builds that let it be set", examples: [16384] }),
  n_max: count.optional().meta({ description: "Most tokens drafted at a time", examples: [16] }),
  n_min: count.optional().meta({ description: "Fewest tokens worth drafting", examples: [0] }),
  p_min: rate.optional().meta({ description: "Least probability of a drafted token, 0..1", examples: [0.75] }),
  gpu_layers: gpuLayers.optional().meta({ description: "Layers of the draft model kept on the GPU", examples: ["all"] }),
  on_mismatch: z
    .enum(["disable", "fail"])
    .default("disable")
    .meta({
      description: "When the draft cannot speed up this target: serve without drafting and say so, or refuse to start",
      examples: ["fail"],
    }),
});

/**
 * The shape of a profile after `extends` and `${env:…}` are done, key by key; rules.ts has what one key asks of another.
 * Its keys are intent; none is a flag of one llama.cpp build.
 */
export const profileSchema = z
  .strictObject({
    description: z
      .string()
      .optional()
      .meta({ description: "One line for people", examples: ["GLM-4.7 drafted by GLM-4.5-Air"] }),
    extends: z
      .string()
      .regex(profileNamePattern)
      .optional()
      .meta({
        title: "the name of a profile",
        description: "Name of a profile to start from; maps merge, lists replace",
        examples: ["glm47"],
      }),
    model,
    model_dirs: z
      .array(text)
      .default([])
      .meta({
        description: "Folders that may already hold models as OWNER/REPO/FILE",
        examples: [["/data/models"]],
      }),
    alias: text.optional().meta({ description: "Model name that API clients see", examples: ["unsloth/GLM-4.7"] }),
    draft: draft.optional().meta({ description: "Speculative decoding", examples: [{ model: "../models/demo-draft.gguf" }] }),
    ctx_size: count.optional().meta({ description: "Context in tokens; 0 takes it from the model", examples: [16384] }),
    parallel: z
      .int()
      .min(1)
      .optional()
      .meta({ description: "Requests served at once (slots)", examples: [1] }),
    threads: z
      .int()
      .min(-1)
      .optional()
      .meta({ description: "CPU threads; -1 lets llama.cpp choose", examples: [-1] }),
    devices: devices.optional().meta({ description: "Devices for the target model", examples: [["CUDA0"]] }),
    gpu_layers: gpuLayers.optional().meta({ description: "Layers kept on the GPU", examples: ["auto"] }),
    fit: z
      .boolean()
      .optional()
      .meta({ description: "Let llama.cpp fit unset options to the memory there is", examples: [true] }),
    priority: z
      .enum(["low", "normal", "medium", "high", "realtime"])
      .optional()
      .meta({
        description: "Process and thread priority",
        examples: ["realtime"],
      }),
    flash_attn: flashAttention.optional().meta({ description: "Flash attention", examples: ["auto"] }),
    cache_type_k: cacheType.optional().meta({ description: "Data type of the key cache", examples: ["q8_0"] }),
    cache_type_v: cacheType.optional().meta({ description: "Data type of the value cache", examples: ["q8_0"] }),
    jinja: z
      .boolean()
      .optional()
      .meta({ description: "Use the model's own chat template engine", examples: [true] }),
    sampling: z
      .strictObject({
        temp: z
          .number()
          .min(0)
          .optional()
          .meta({ description: "Temperature", examples: [1.0] }),
        top_p: rate.optional().meta({ description: "Nucleus sampling, 0..1", examples: [0.95] }),
        top_k: count.optional().meta({ description: "Top-k sampling; 0 turns it off", examples: [40] }),
        min_p: rate.optional().meta({ description: "Least probability relative to the best token, 0..1", examples: [0.05] }),
        seed: z
          .int()
          .min(-1)
          .optional()
          .meta({ description: "Random seed; -1 is random", examples: [42] }),
      })
      .default({})
      .meta({ description: "Defaults for requests that set nothing themselves", examples: [{ temp: 1.0, top_p: 0.95 }] }),
    server: z
      .strictObject({
        host: text.default("127.0.0.1").meta({ description: "Address to listen on", examples: ["127.0.0.1"] }),
        port: z
          .union([z.int().min(1).max(65535), z.literal("auto")])
          .default("auto")
          .meta({
            description: "TCP port; auto takes a free one at each start",
            examples: [8001],
          }),
        api_key_file: text.optional().meta({ description: "File with one API key a line", examples: ["/etc/llmctl/api-keys"] }),
        metrics: z
          .boolean()
          .default(false)
          .meta({ description: "Serve llama-server's own /metrics", examples: [true] }),
      })
      .prefault({})
      .meta({ description: "The HTTP server", examples: [{ port: 8001 }] }),
    mlock: z
      .boolean()
      .optional()
      .meta({ description: "Keep the model in RAM, never swapped", examples: [true] }),
    mmap: z
      .boolean()
      .optional()
      .meta({ description: "Map the model file instead of reading it", examples: [false] }),
    env: z
      .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string())
      .default({})
      .meta({
        description: "Environment of the server, added to a clean one",
        examples: [{ CUDA_VISIBLE_DEVICES: "0,1" }],
      }),
    args: z
      .array(text)
      .default([])
      .meta({
        description: "Flags of llama-server that no key covers; checked against the installed build",
        examples: [["--cache-reuse", "256"]],
      }),
    llama: z
      .strictObject({
        build: text.optional().meta({ description: "An installed build; the current one unless told", examples: ["v0.5.0"] }),
        binary: text
          .optional()
          .meta({ description: "Path of a llama-server of your own, instead of `build`", examples: ["/opt/llama.cpp/llama-server"] }),
      })
      .default({})
      .meta({ description: "Which llama.cpp to run", examples: [{ build: "v0.5.0" }] }),
    health: z
      .strictObject({
        interval: duration("5s").meta({ description: "Time between health checks of a ready server", examples: ["5s"] }),
        timeout: duration("3s").meta({ description: "Longest wait for one health check", examples: ["3s"] }),
        failures: z
          .int()
          .min(1)
          .default(3)
          .meta({ description: "Failed checks in a row before the server counts as unhealthy", examples: [3] }),
        stall_timeout: duration("15m").meta({
          description: "A load with no sign of life (log, CPU, I/O) for this long has failed",
          examples: ["15m"],
        }),
        hang_timeout: duration("15m").meta({
          description: "An unhealthy server that neither logs nor uses CPU for this long is restarted; 0s never does",
          examples: ["15m"],
        }),
        watch_traffic: z
          .boolean()
          .default(true)
          .meta({
            description: "Read from the server's log how fast it generates and how many drafted tokens are accepted",
            examples: [false],
          }),
        proof_timeout: duration("5m").meta({ description: "Longest wait for the request that proves drafting", examples: ["5m"] }),
      })
      .prefault({})
      .meta({ description: "Health checks", examples: [{ interval: "5s" }] }),
    restart: z
      .strictObject({
        policy: z
          .enum(["on-failure", "never"])
          .default("on-failure")
          .meta({ description: "Restart after an unexpected exit", examples: ["never"] }),
        max_failures: z
          .int()
          .min(1)
          .default(5)
          .meta({ description: "Unexpected exits within `window` that count as a crash loop", examples: [5] }),
        window: duration("10m").meta({ description: "Window of the crash loop count", examples: ["10m"] }),
        backoff: duration("1s").meta({ description: "First delay; doubles up to `backoff_max`", examples: ["1s"] }),
        backoff_max: duration("60s").meta({ description: "Longest delay", examples: ["60s"] }),
      })
      .prefault({})
      .meta({ description: "What to do when the server dies", examples: [{ max_failures: 3 }] }),
    stop: z
      .strictObject({
        timeout: duration("60s").meta({
          description: "After SIGTERM, time for running requests to end before the server is killed",
          examples: ["60s"],
        }),
      })
      .prefault({})
      .meta({ description: "How to stop", examples: [{ timeout: "5m" }] }),
    log: z
      .strictObject({
        max_size: size("64MiB").meta({ description: "The server's log is rotated at this size", examples: ["64MiB"] }),
        keep: count.default(3).meta({ description: "Rotated logs kept", examples: [3] }),
      })
      .prefault({})
      .meta({ description: "The server's log", examples: [{ keep: 5 }] }),
  })
  .meta({ title: "llmctl profile", description: "How llmctl runs one model" });

/** A profile's values, all defaults filled in; durations and sizes still as text (`parseDuration`, `parseSize` read them). */
export type ProfileValues = z.infer<typeof profileSchema>;

/** A reference to a model: a path (absolute after loading), or a model on Hugging Face. */
export type ModelRef = ProfileValues["model"];

/** A model on Hugging Face. Exactly one of `quant` and `file` is set. */
export type HubModelRef = Exclude<ModelRef, string>;

/** A checked profile. All paths in it are absolute. */
export interface Profile {
  readonly name: string;
  /** The YAML file it came from, absolute. */
  readonly path: string;
  readonly values: ProfileValues;
  /** Where a key was written, for messages: `file:line:column`, of the nearest written ancestor; `path` for keys that nobody wrote. */
  readonly at: (...key: (string | number)[]) => string;
}
