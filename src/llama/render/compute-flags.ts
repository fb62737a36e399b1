import {
  floatRule,
  integerRule,
  pairRule,
  type FlagRule,
  serverOnly,
  switchRule,
  unlessLacking,
  valueRule,
} from "./flag-rule.ts";

const neverFits = "not needed on this build: it never changes unset options";

/** The devices that hold the weights and the context. */
export const placementRules: readonly FlagRule[] = [
  switchRule("cpu_moe", ["--cpu-moe"], (values) => values.cpu_moe),
  integerRule("n_cpu_moe", ["--n-cpu-moe"], (values) => values.n_cpu_moe),
  valueRule("override_tensor", ["--override-tensor"], (values) => values.override_tensor?.join(",")),
  valueRule("split_mode", ["--split-mode"], (values) => values.split_mode),
  valueRule("tensor_split", ["--tensor-split"], (values) => values.tensor_split?.join(",")),
  integerRule("main_gpu", ["--main-gpu"], (values) => values.main_gpu),
  pairRule("kv_offload", { on: ["--kv-offload"], off: ["--no-kv-offload"] }, (values) => values.kv_offload),
  unlessLacking(
    neverFits,
    valueRule("fit_target", ["--fit-target"], (values) => values.fit_target?.join(",")),
  ),
  unlessLacking(
    neverFits,
    integerRule("fit_ctx", ["--fit-ctx"], (values) => values.fit_ctx),
  ),
  valueRule("numa", ["--numa"], (values) => values.numa),
];

/** How the context is computed, extended and cached. */
export const contextRules: readonly FlagRule[] = [
  integerRule("threads_batch", ["--threads-batch"], (values) => values.threads_batch),
  integerRule("batch_size", ["--batch-size"], (values) => values.batch_size),
  integerRule("ubatch_size", ["--ubatch-size"], (values) => values.ubatch_size),
  valueRule("cache_type_k", ["--cache-type-k"], (values) => values.cache_type_k),
  valueRule("cache_type_v", ["--cache-type-v"], (values) => values.cache_type_v),
  valueRule("rope.scaling", ["--rope-scaling"], (values) => values.rope.scaling),
  floatRule("rope.scale", ["--rope-scale"], (values) => values.rope.scale),
  floatRule("rope.freq_base", ["--rope-freq-base"], (values) => values.rope.freq_base),
  floatRule("rope.freq_scale", ["--rope-freq-scale"], (values) => values.rope.freq_scale),
  integerRule("yarn.orig_ctx", ["--yarn-orig-ctx"], (values) => values.yarn.orig_ctx),
  floatRule("yarn.ext_factor", ["--yarn-ext-factor"], (values) => values.yarn.ext_factor),
  floatRule("yarn.attn_factor", ["--yarn-attn-factor"], (values) => values.yarn.attn_factor),
  floatRule("yarn.beta_slow", ["--yarn-beta-slow"], (values) => values.yarn.beta_slow),
  floatRule("yarn.beta_fast", ["--yarn-beta-fast"], (values) => values.yarn.beta_fast),
  serverOnly(pairRule("kv_unified", { on: ["--kv-unified"], off: ["--no-kv-unified"] }, (values) => values.kv_unified)),
  switchRule("swa_full", ["--swa-full"], (values) => values.swa_full),
  pairRule("context_shift", { on: ["--context-shift"], off: ["--no-context-shift"] }, (values) => values.context_shift),
  serverOnly(
    pairRule("cache_prompt", { on: ["--cache-prompt"], off: ["--no-cache-prompt"] }, (values) => values.cache_prompt),
  ),
  serverOnly(integerRule("cache_reuse", ["--cache-reuse"], (values) => values.cache_reuse)),
  serverOnly(
    unlessLacking(
      "this build caches no contexts of earlier prompts",
      integerRule("cache_ram", ["--cache-ram"], (values) => values.cache_ram),
    ),
  ),
];
