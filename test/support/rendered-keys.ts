import type { Values } from "./any-profile.ts";

/** From this build on; `old` is a build of early 2025, which has few flags. */
type Since = "old" | "b7698" | "b8390" | "b10068" | "v0.5.0";

/**
 * What a key becomes, from which build on: its flags, with `# note` where they have one, or `left out: …`, or `refused:
 * …`, each with the reason, and for the last also the fix. A text alone begins with b7698, and before the first build
 * the key has no flag. `(KEY)` stands for a profile that is refused for another key.
 */
export type KeyOutcome = string | Partial<Record<Since, string>>;

/** A key of the profile that reaches llama-server. */
export interface RenderedKey {
  /** Every name of its flags, over all builds: raw `args` may not use them while the profile sets the key. */
  readonly names: string;
  /** When the profile does not set the key, raw `args` may use its flags. */
  readonly raw?: true;
  /** llama-cli leaves it out. */
  readonly client?: true;
  /** Profiles, and what the key becomes; the first one sets it. */
  readonly becomes: readonly (readonly [Values, KeyOutcome])[];
}

const isDefault = "left out: off is llama.cpp's default";
const always = (text: string): KeyOutcome => ({ old: text });

/** A key that one flag passes unchanged, on all builds but old ones. */
function plain(name: string, values: Values, shown: string): RenderedKey {
  return { names: name, becomes: [[values, `${name} ${shown}`]] };
}

/** The same for a key that llmctl does not read itself. */
function free(name: string, values: Values, shown: string): RenderedKey {
  return { ...plain(name, values, shown), raw: true };
}

/** A flag without a value. */
function toggle(name: string, read: (on: boolean) => Values): RenderedKey {
  return {
    names: name,
    raw: true,
    becomes: [
      [read(true), name],
      [read(false), always(isDefault)],
    ],
  };
}

/** A flag without a value, and one for the opposite. */
function pair(name: string, read: (on: boolean) => Values): RenderedKey {
  const off = name.replace("--", "--no-");
  return {
    names: `${name} ${off}`,
    raw: true,
    becomes: [
      [read(true), name],
      [read(false), { old: "left out: this build has no such feature", b7698: off }],
    ],
  };
}

const forClients = (key: RenderedKey): RenderedKey => ({ ...key, client: true });

const neverFits = "left out: not needed on this build: it never changes unset options";
const cutPath = (path: string) =>
  `refused: llama.cpp would split the path "${path}" at its comma or colon; rename the file or its folder`;
const noBudget =
  "refused: llama.cpp VERSION cannot limit the number of thinking tokens; write -1 or 0, or use a newer build";

/** Every key outside `draft`, by its name in the profile. */
export const renderedKeys: Readonly<Record<string, RenderedKey>> = {
  model: { names: "--model", becomes: [[{}, always("--model /m/target.gguf")]] },
  alias: forClients(plain("--alias", { alias: "a" }, "a")),
  threads: { names: "--threads", becomes: [[{ threads: 8 }, always("--threads 8")]] },
  fit: {
    names: "--fit",
    becomes: [
      [
        { fit: true },
        {
          old: "left out: this build cannot fit options to the memory: set gpu_layers and ctx_size",
          b7698: "--fit on",
        },
      ],
      [{ fit: false }, { old: neverFits, b7698: "--fit off" }],
    ],
  },
  priority: {
    names: "--prio",
    becomes: [
      [
        { priority: "low" },
        {
          old: 'refused: llama.cpp VERSION has no priority "low"; write normal, or use a newer build',
          b7698: "--prio -1",
        },
      ],
      [{ priority: "normal" }, always("--prio 0")],
      [{ priority: "medium" }, always("--prio 1")],
      [{ priority: "high" }, always("--prio 2")],
      [{ priority: "realtime" }, always("--prio 3")],
    ],
  },
  "sampling.temp": plain("--temp", { sampling: { temp: 1 } }, "1.0"),
  "sampling.top_p": plain("--top-p", { sampling: { top_p: 0.95 } }, "0.95"),
  "sampling.top_k": plain("--top-k", { sampling: { top_k: 40 } }, "40"),
  "sampling.min_p": plain("--min-p", { sampling: { min_p: 0 } }, "0.0"),
  "sampling.seed": plain("--seed", { sampling: { seed: -1 } }, "-1"),
  ctx_size: { names: "--ctx-size", becomes: [[{ ctx_size: 4096 }, always("--ctx-size 4096")]] },
  "server.host": {
    names: "--host",
    client: true,
    becomes: [
      [{}, always("--host 127.0.0.1")],
      [{ server: { host: "::1" } }, always("--host ::1")],
      [{ server: { host: "/run/a.sock" } }, always("--host /run/a.sock")],
    ],
  },
  "server.port": {
    names: "--port",
    client: true,
    becomes: [
      [{ server: { port: 8001 } }, always("--port 8001")],
      [{ server: { port: "auto" } }, always("--port 0")],
      [{ server: { host: "/run/a.sock" } }, always("")],
    ],
  },
  "rpc.workers": {
    names: "--rpc",
    becomes: [
      [
        { rpc: { workers: ["h:1", "i:2"] } },
        {
          old:
            "refused: llama.cpp VERSION was built without RPC; " +
            '{"run":["build","--rpc"],"or":"name a build that has it"}',
          "v0.5.0": "--rpc h:1,i:2",
        },
      ],
    ],
  },
  "rpc.cache": { names: "", becomes: [[{ rpc: { cache: true } }, always("left out: only a worker caches weights")]] },
  jinja: {
    names: "--jinja --no-jinja",
    becomes: [
      [{ jinja: true }, always("--jinja")],
      [{ jinja: false }, { old: "left out: off is this build's default", b7698: "--no-jinja" }],
    ],
  },
  devices: plain("--device", { devices: ["CUDA0", "CUDA1"] }, "CUDA0,CUDA1"),
  gpu_layers: {
    names: "--gpu-layers",
    becomes: [
      [{ gpu_layers: 20 }, always("--gpu-layers 20")],
      [
        { gpu_layers: "all" },
        { old: "--gpu-layers 999  # this build has no word that means all layers", b7698: "--gpu-layers all" },
      ],
      [
        { gpu_layers: "auto" },
        {
          old: "left out: this build has no automatic choice; its own default applies",
          b7698: "--gpu-layers auto",
        },
      ],
    ],
  },
  parallel: plain("--parallel", { parallel: 2 }, "2"),
  flash_attn: {
    names: "--flash-attn",
    becomes: [
      [{ flash_attn: "on" }, { old: "--flash-attn", b7698: "--flash-attn on" }],
      [{ flash_attn: "off" }, { old: "left out: off is this build's default", b7698: "--flash-attn off" }],
      [
        { flash_attn: "auto" },
        { old: "left out: this build has no automatic choice; its default is off", b7698: "--flash-attn auto" },
      ],
    ],
  },
  mlock: {
    names: "--mlock",
    becomes: [
      [{ mlock: true }, { old: "--mlock", "v0.5.0": "--load-mode mmap+mlock" }],
      [
        { mlock: true, mmap: true },
        { old: "--mlock", "v0.5.0": "--load-mode mmap+mlock" },
      ],
      [
        { mlock: true, mmap: false },
        { old: "--mlock", "v0.5.0": "--load-mode mlock" },
      ],
      [{ mlock: false }, always(isDefault)],
    ],
  },
  mmap: {
    names: "--mmap --no-mmap",
    becomes: [
      [{ mmap: true }, { old: "left out: on is this build's default", b7698: "--mmap", "v0.5.0": "--load-mode mmap" }],
      [{ mmap: false }, { old: "--no-mmap", "v0.5.0": "--load-mode none" }],
      [
        { mmap: false, mlock: false },
        { old: "--no-mmap", "v0.5.0": "--load-mode none" },
      ],
      [
        { mmap: false, mlock: true },
        { old: "--no-mmap", "v0.5.0": "left out: passed together with mlock" },
      ],
    ],
  },
  "server.api_key_file": forClients(plain("--api-key-file", { server: { api_key_file: "/k" } }, "/k")),
  "server.metrics": {
    names: "--metrics",
    client: true,
    becomes: [
      [{ server: { metrics: true } }, "--metrics"],
      [{ server: { metrics: false } }, always("")],
    ],
  },
  cpu_moe: toggle("--cpu-moe", (on) => ({ cpu_moe: on })),
  n_cpu_moe: free("--n-cpu-moe", { n_cpu_moe: 60 }, "60"),
  override_tensor: free("--override-tensor", { override_tensor: ["exps=CPU", "blk.1=CUDA1"] }, "exps=CPU,blk.1=CUDA1"),
  split_mode: {
    names: "--split-mode",
    raw: true,
    becomes: [
      [{ split_mode: "row" }, "--split-mode row"],
      [
        { split_mode: "tensor" },
        {
          b7698: 'refused: split_mode "tensor" is not known to llama.cpp VERSION; it takes none, layer, row',
          b10068: "--split-mode tensor",
        },
      ],
    ],
  },
  tensor_split: free("--tensor-split", { tensor_split: [3, 1.5] }, "3,1.5"),
  main_gpu: free("--main-gpu", { main_gpu: 1 }, "1"),
  kv_offload: {
    names: "--kv-offload --no-kv-offload",
    raw: true,
    becomes: [
      [{ kv_offload: true }, { old: "left out: on is this build's default", b7698: "--kv-offload" }],
      [{ kv_offload: false }, always("--no-kv-offload")],
    ],
  },
  fit_target: {
    names: "--fit-target",
    raw: true,
    becomes: [[{ fit_target: [1024, 2048] }, { old: neverFits, b7698: "--fit-target 1024,2048" }]],
  },
  fit_ctx: {
    names: "--fit-ctx",
    raw: true,
    becomes: [[{ fit_ctx: 4096 }, { old: neverFits, b7698: "--fit-ctx 4096" }]],
  },
  numa: free("--numa", { numa: "distribute" }, "distribute"),
  threads_batch: free("--threads-batch", { threads_batch: 8 }, "8"),
  batch_size: free("--batch-size", { batch_size: 4096 }, "4096"),
  ubatch_size: free("--ubatch-size", { ubatch_size: 1024 }, "1024"),
  cache_type_k: free("--cache-type-k", { cache_type_k: "q8_0" }, "q8_0"),
  cache_type_v: free("--cache-type-v", { cache_type_v: "q4_0" }, "q4_0"),
  "rope.scaling": free("--rope-scaling", { rope: { scaling: "yarn" } }, "yarn"),
  "rope.scale": free("--rope-scale", { rope: { scale: 4 } }, "4.0"),
  "rope.freq_base": free("--rope-freq-base", { rope: { freq_base: 1_000_000 } }, "1000000.0"),
  "rope.freq_scale": free("--rope-freq-scale", { rope: { freq_scale: 0.25 } }, "0.25"),
  "yarn.orig_ctx": free("--yarn-orig-ctx", { yarn: { orig_ctx: 32_768 } }, "32768"),
  "yarn.ext_factor": free("--yarn-ext-factor", { yarn: { ext_factor: 1 } }, "1.0"),
  "yarn.attn_factor": free("--yarn-attn-factor", { yarn: { attn_factor: 2 } }, "2.0"),
  "yarn.beta_slow": free("--yarn-beta-slow", { yarn: { beta_slow: 1.5 } }, "1.5"),
  "yarn.beta_fast": free("--yarn-beta-fast", { yarn: { beta_fast: 32 } }, "32.0"),
  kv_unified: {
    names: "--kv-unified --no-kv-unified",
    raw: true,
    client: true,
    becomes: [
      [{ kv_unified: true }, "--kv-unified"],
      [
        { kv_unified: false },
        {
          old: "left out: this build has no such feature",
          b7698: "left out: off is this build's default",
          b8390: "--no-kv-unified",
        },
      ],
    ],
  },
  swa_full: toggle("--swa-full", (on) => ({ swa_full: on })),
  context_shift: pair("--context-shift", (on) => ({ context_shift: on })),
  cache_prompt: {
    names: "--cache-prompt --no-cache-prompt",
    raw: true,
    client: true,
    becomes: [
      [{ cache_prompt: true }, { b8390: "--cache-prompt" }],
      [{ cache_prompt: false }, { old: "left out: this build has no such feature", b8390: "--no-cache-prompt" }],
    ],
  },
  cache_reuse: forClients(free("--cache-reuse", { cache_reuse: 256 }, "256")),
  cache_ram: {
    names: "--cache-ram",
    raw: true,
    client: true,
    becomes: [
      [
        { cache_ram: -1 },
        { old: "left out: this build caches no contexts of earlier prompts", b7698: "--cache-ram -1" },
      ],
    ],
  },
  "sampling.presence_penalty": free("--presence-penalty", { sampling: { presence_penalty: 1.5 } }, "1.5"),
  "sampling.frequency_penalty": free("--frequency-penalty", { sampling: { frequency_penalty: 0.5 } }, "0.5"),
  "sampling.repeat_penalty": free("--repeat-penalty", { sampling: { repeat_penalty: 1 } }, "1.0"),
  "sampling.repeat_last_n": free("--repeat-last-n", { sampling: { repeat_last_n: 64 } }, "64"),
  chat_template: free("--chat-template", { chat_template: "chatml" }, "chatml"),
  chat_template_file: free("--chat-template-file", { chat_template_file: "/t.jinja" }, "/t.jinja"),
  chat_template_kwargs: {
    names: "--chat-template-kwargs",
    raw: true,
    becomes: [
      [{ chat_template_kwargs: { a: false } }, '--chat-template-kwargs {"a":false}'],
      [
        { chat_template_kwargs: { a: 1 }, reasoning_effort: "high" },
        {
          b7698: '--chat-template-kwargs {"a":1,"reasoning_effort":"high"}',
          "v0.5.0": '--chat-template-kwargs {"a":1}',
        },
      ],
    ],
  },
  reasoning: {
    names: "--reasoning",
    raw: true,
    becomes: [
      [{ reasoning: "on" }, { old: "left out: this build lets the template decide", b8390: "--reasoning on" }],
      [{ reasoning: "auto" }, { old: "left out: this build lets the template decide", b8390: "--reasoning auto" }],
      [{ reasoning: "off" }, { b7698: "--reasoning-budget 0", b8390: "--reasoning off" }],
      [
        { reasoning: "off", reasoning_budget: -1 },
        {
          old: "(reasoning_budget)",
          b7698: "left out: passed together with reasoning_budget",
          b8390: "--reasoning off",
        },
      ],
    ],
  },
  reasoning_format: free("--reasoning-format", { reasoning_format: "deepseek" }, "deepseek"),
  reasoning_budget: {
    names: "--reasoning-budget",
    raw: true,
    becomes: [
      [{ reasoning_budget: 0 }, "--reasoning-budget 0"],
      [{ reasoning_budget: -1 }, "--reasoning-budget -1"],
      [{ reasoning_budget: 1 }, { b7698: noBudget, b8390: "--reasoning-budget 1" }],
    ],
  },
  reasoning_effort: {
    names: "--reasoning-effort",
    raw: true,
    becomes: [
      [
        { reasoning_effort: "high" },
        { b7698: '--chat-template-kwargs {"reasoning_effort":"high"}', "v0.5.0": "--reasoning-effort high" },
      ],
      [
        { reasoning_effort: "high", chat_template_kwargs: { a: 1 } },
        {
          old: "(chat_template_kwargs)",
          b7698: "left out: passed together with chat_template_kwargs",
          "v0.5.0": "--reasoning-effort high",
        },
      ],
    ],
  },
  lora: {
    names: "--lora --lora-scaled",
    raw: true,
    becomes: [
      [{ lora: ["/a.gguf", { path: "/b.gguf" }] }, "--lora /a.gguf,/b.gguf"],
      [{ lora: ["/a.gguf", { path: "/b.gguf", scale: 0.5 }] }, "--lora-scaled /a.gguf:1.0,/b.gguf:0.5"],
      [{ lora: ["/c.gguf", "/a,b.gguf"] }, cutPath("/a,b.gguf")],
      [{ lora: ["/a:b.gguf"] }, "--lora /a:b.gguf"],
      [{ lora: [{ path: "/a:b.gguf", scale: 2 }] }, cutPath("/a:b.gguf")],
      [{ lora: [{ path: "/a,b.gguf", scale: 2 }] }, cutPath("/a,b.gguf")],
      [{ lora: [{ hf: "o/r", file: "f.gguf" }] }, "--lora /m/lora.0.gguf"],
    ],
  },
  mmproj: {
    names: "--mmproj",
    raw: true,
    becomes: [
      [{ mmproj: "/p.gguf" }, "--mmproj /p.gguf"],
      [{ mmproj: { hf: "o/r", file: "f.gguf" } }, "--mmproj /m/mmproj.gguf"],
    ],
  },
  mmproj_offload: pair("--mmproj-offload", (on) => ({ mmproj_offload: on })),
  embeddings: forClients(toggle("--embeddings", (on) => ({ embeddings: on }))),
  rerank: {
    names: "--rerank --reranking",
    raw: true,
    client: true,
    becomes: [
      [{ rerank: true }, "--rerank"],
      [{ rerank: false }, always(isDefault)],
    ],
  },
  pooling: forClients(free("--pooling", { pooling: "last" }, "last")),
  "server.slots": forClients(pair("--slots", (on) => ({ server: { slots: on } }))),
  "server.slot_save_path": forClients(free("--slot-save-path", { server: { slot_save_path: "/s" } }, "/s")),
  "server.props": forClients(toggle("--props", (on) => ({ server: { props: on } }))),
  "server.ui": {
    names: "--ui --webui --no-ui --no-webui",
    raw: true,
    client: true,
    becomes: [
      [{ server: { ui: true } }, { b7698: "--webui", b10068: "--ui" }],
      [
        { server: { ui: false } },
        { old: "left out: this build has no such feature", b7698: "--no-webui", b10068: "--no-ui" },
      ],
    ],
  },
  "server.threads_http": forClients(free("--threads-http", { server: { threads_http: 4 } }, "4")),
  "server.sleep_idle_seconds": forClients(free("--sleep-idle-seconds", { server: { sleep_idle_seconds: 900 } }, "900")),
};
