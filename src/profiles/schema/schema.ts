import { z } from "zod";
import { profileNamePattern } from "../../base/text/profile-name.ts";
import { adapterKeys, chatKeys, sampling } from "./schema-chat.ts";
import { contextKeys, placementKeys } from "./schema-compute.ts";
import { draft } from "./schema-draft.ts";
import { model } from "./schema-model.ts";
import { rpcKeys } from "./schema-rpc.ts";
import { server } from "./schema-server.ts";
import { count, devices, duration, gpuLayers, size, text } from "./schema-values.ts";

export { profileNamePattern };
export type { HubModelRef, ModelRef, RemoteModelRef, UrlModelRef } from "./schema-model.ts";

// One profile is checked in a process: functions made for the check would cost more than they save.
z.config({ jitless: true });

const rawValue = z.union([z.string(), z.number(), z.boolean()]);
const rawArgs = z
  .union([
    z.array(text).meta({ title: "a list of flags and their values" }),
    z.record(z.string(), z.union([rawValue, z.array(rawValue)])).meta({ title: "a map of flags" }),
  ])
  .default([])
  .meta({
    description:
      "Flags of llama-server that no key covers; checked against the installed build. " +
      "In a map, true is a flag without a value, and false is a flag that is not passed",
    examples: [["--lookup-cache-static", "words.bin"], { "lookup-cache-static": "words.bin", "no-repack": true }],
  });
const flashAttention = z.enum(["on", "off", "auto"]);

/**
 * The shape of a profile after `extends` and `${env:…}` were resolved, key by key; the folder `rules` has the rules
 * between keys. Keys say intent; none is a flag of one llama.cpp build.
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
        description: "Name of a profile to start from; maps merge, lists replace, and `draft: null` means no draft",
        examples: ["glm47"],
      }),
    depends_on: z
      .array(z.string().regex(profileNamePattern).meta({ title: "the name of a profile" }))
      .default([])
      .meta({
        description:
          "Profiles that must be ready before this one is started; `up` starts them first, and `down` stops them last",
        examples: [["embedding"]],
      }),
    /** Every profile but a worker has it; `targetModel` reads it. */
    model: model.optional(),
    model_dirs: z
      .array(text)
      .default([])
      .meta({
        description: "Folders that may already hold models as OWNER/REPO/FILE",
        examples: [["/data/models"]],
      }),
    alias: text.optional().meta({ description: "Model name that API clients see", examples: ["unsloth/GLM-4.7"] }),
    draft: draft.optional().meta({
      description: "Speculative decoding; null takes away the draft of the extended profile, or one key of it",
      examples: [{ model: "../models/demo-draft.gguf" }],
    }),
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
      .meta({ description: "Let llama.cpp fit unset options to the free memory", examples: [true] }),
    priority: z
      .enum(["low", "normal", "medium", "high", "realtime"])
      .optional()
      .meta({
        description: "Process and thread priority",
        examples: ["realtime"],
      }),
    flash_attn: flashAttention.optional().meta({ description: "Flash attention", examples: ["auto"] }),
    ...placementKeys,
    ...rpcKeys,
    ...contextKeys,
    jinja: z
      .boolean()
      .optional()
      .meta({ description: "Use the model's own chat template engine", examples: [true] }),
    ...chatKeys,
    sampling,
    ...adapterKeys,
    server,
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
        description: "Environment variables of the server, added to a clean environment",
        examples: [{ CUDA_VISIBLE_DEVICES: "0,1" }],
      }),
    args: rawArgs,
    llama: z
      .strictObject({
        build: text
          .optional()
          .meta({ description: "An installed build; default: the current one", examples: ["v0.5.0"] }),
        binary: text.optional().meta({
          description: "Path of a llama-server of your own, instead of `build`",
          examples: ["/opt/llama.cpp/llama-server"],
        }),
      })
      .default({})
      .meta({ description: "Which llama.cpp to run", examples: [{ build: "v0.5.0" }] }),
    health: z
      .strictObject({
        interval: duration("5s").meta({
          description: "Time between health checks of a ready server",
          examples: ["5s"],
        }),
        timeout: duration("3s").meta({
          description: "Longest wait for one health check; 0s: no limit",
          examples: ["3s"],
        }),
        failures: z
          .int()
          .min(1)
          .default(3)
          .meta({ description: "Failed checks in a row before the server counts as unhealthy", examples: [3] }),
        stall_timeout: duration("15m").meta({
          description: "A load that shows no sign of life (log, CPU, I/O) for this long has failed; 0s: never",
          examples: ["15m"],
        }),
        hang_timeout: duration("15m").meta({
          description: "An unhealthy server that neither logs nor uses CPU for this long is restarted; 0s: never",
          examples: ["15m"],
        }),
        watch_traffic: z
          .boolean()
          .default(true)
          .meta({
            description: "Read from the server's log how fast it generates and how many drafted tokens are accepted",
            examples: [false],
          }),
        proof_timeout: duration("5m").meta({
          description: "Longest wait for the request that proves drafting; 0s: no limit",
          examples: ["5m"],
        }),
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
        window: duration("10m").meta({ description: "Time span of the crash loop count", examples: ["10m"] }),
        backoff: duration("1s").meta({ description: "First delay; doubles up to `backoff_max`", examples: ["1s"] }),
        backoff_max: duration("60s").meta({ description: "Longest delay", examples: ["60s"] }),
      })
      .prefault({})
      .meta({ description: "What to do when the server dies", examples: [{ max_failures: 3 }] }),
    stop: z
      .strictObject({
        timeout: duration("60s").meta({
          description:
            "Longest wait for the running requests of a ready server, which gets SIGTERM after it; " +
            "a server that is not ready gets SIGTERM at once, and has this long to exit",
          examples: ["60s"],
        }),
      })
      .prefault({})
      .meta({ description: "How to stop", examples: [{ timeout: "5m" }] }),
    orphan: z
      .enum(["kill", "keep"])
      .default("kill")
      .meta({
        description:
          "When llmctl itself is killed: kill the server with it, " +
          "or keep the server until the next `up` adopts it as it is",
        examples: ["keep"],
      }),
    log: z
      .strictObject({
        max_size: size("64MiB").meta({ description: "The server's log is rotated at this size", examples: ["64MiB"] }),
        keep: count.default(3).meta({ description: "Rotated logs kept", examples: [3] }),
      })
      .prefault({})
      .meta({ description: "The server's log", examples: [{ keep: 5 }] }),
  })
  .meta({ title: "llmctl profile", description: "How llmctl runs one model" });

/**
 * The values of a profile with all defaults; durations and sizes are still text (`parseDuration` and `parseSize` read
 * them).
 */
export type ProfileValues = z.infer<typeof profileSchema>;

/** A checked profile. All paths in it are absolute. */
export interface Profile {
  readonly name: string;
  /** The YAML file it came from, absolute. */
  readonly path: string;
  readonly values: ProfileValues;
  /** Names in `env` whose values came from the environment of this process, by `${env:…}`. */
  readonly envFromOutside?: readonly string[];
  /**
   * The place of a key, for messages: `file:line:column` of the nearest ancestor that is written; `path` for a key that
   * is not.
   */
  readonly at: (...key: (string | number)[]) => string;
}
