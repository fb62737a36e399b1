import { readFileSync } from "node:fs";
import { FlagCatalogue } from "../../src/llama/ask/flag-catalogue.ts";
import { parseHelp } from "../../src/llama/ask/help-text.ts";
import { type Profile, profileSchema } from "../../src/profiles/schema/schema.ts";

/** Real `--help` outputs, by the build that printed them. */
export const serverBuilds = ["b7698", "b8390", "b10068", "v0.5.0"] as const;

export function readHelp(name: string): string {
  return readFileSync(new URL(`../fixtures/llama-help/${name}.txt`, import.meta.url), "utf8");
}

export function readCatalogue(build: string, version = build): FlagCatalogue {
  return new FlagCatalogue(version, parseHelp(readHelp(`llama-server-${build}`)));
}

export function readCliCatalogue(build: "b7698" | "v0.5.0", version: string = build): FlagCatalogue {
  return new FlagCatalogue(version, parseHelp(readHelp(`llama-cli-${build}`)));
}

/** A checked profile whose places read `p.yaml:KEY`. */
export function makeProfile(values: Readonly<Record<string, unknown>>): Profile {
  return {
    name: "p",
    path: "/profiles/p.yaml",
    values: profileSchema.parse({ model: "/models/target.gguf", ...values }),
    at: (...key) => `p.yaml:${key.join(".")}`,
  };
}

/** Some options in the format of builds of early 2025. */
export const oldHelp = `----- common params -----

-h,    --help, --usage                  print usage and exit
-t,    --threads N                      number of threads to use during generation (default: -1)
                                        (env: LLAMA_ARG_THREADS)
--prio N                                set process/thread priority : 0-normal, 1-medium, 2-high, 3-realtime
                                        (default: 0)
-c,    --ctx-size N                     size of the prompt context (default: 4096, 0 = loaded from model)
                                        (env: LLAMA_ARG_CTX_SIZE)
-fa,   --flash-attn                     enable Flash Attention (default: disabled)
                                        (env: LLAMA_ARG_FLASH_ATTN)
-nkvo, --no-kv-offload                  disable KV offload
                                        (env: LLAMA_ARG_NO_KV_OFFLOAD)
--mlock                                 force system to keep model in RAM rather than swapping or compressing
                                        (env: LLAMA_ARG_MLOCK)
--no-mmap                               do not memory-map model (slower load but may reduce pageouts if not
                                        using mlock)
                                        (env: LLAMA_ARG_NO_MMAP)
-ngl,  --gpu-layers, --n-gpu-layers N   number of layers to store in VRAM
                                        (env: LLAMA_ARG_N_GPU_LAYERS)
-m,    --model FNAME                    model path (default: \`models/$filename\` with filename from \`--hf-file\`
                                        or \`--model-url\` if set, otherwise models/7B/ggml-model-f16.gguf)
                                        (env: LLAMA_ARG_MODEL)


----- example-specific params -----

--host HOST                             ip address to listen, or bind to an UNIX socket if the address ends
                                        with .sock (default: 127.0.0.1)
                                        (env: LLAMA_ARG_HOST)
--port PORT                             port to listen (default: 8080)
                                        (env: LLAMA_ARG_PORT)
--jinja                                 use jinja template for chat (default: disabled)
                                        (env: LLAMA_ARG_JINJA)
--draft-max, --draft, --draft-n N       number of tokens to draft for speculative decoding (default: 16)
                                        (env: LLAMA_ARG_DRAFT_MAX)
-md,   --model-draft FNAME              draft model for speculative decoding (default: unused)
                                        (env: LLAMA_ARG_MODEL_DRAFT)
`;
