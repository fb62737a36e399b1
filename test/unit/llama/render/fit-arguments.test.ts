import { expect, test } from "vitest";
import { FlagCatalogue } from "../../../../src/llama/ask/flag-catalogue.ts";
import { parseHelp } from "../../../../src/llama/ask/help-text.ts";
import { fitArguments } from "../../../../src/llama/render/fit-arguments.ts";
import { renderedDraftKeys } from "../../../support/rendered-draft-keys.ts";
import { renderedKeys } from "../../../support/rendered-keys.ts";

/** llama-fit-params has the flags of the common options of llama.cpp. */
const catalogue = new FlagCatalogue(
  "fit",
  parseHelp("-m,    --model FNAME                    model path\n--flag N                                any\n"),
);
const keys = [...Object.keys(renderedKeys), ...Object.keys(renderedDraftKeys), "args[0]", "args.numa"];
const flag = (key: string, name = "--flag") => ({ key, path: [], args: [name, key] });

test("the memory of the target depends on these keys, and on no other", () => {
  const passed = fitArguments(
    keys.map((key) => flag(key)),
    catalogue,
  );
  expect(passed.filter((word) => word !== "--flag")).toEqual([
    "model",
    "ctx_size",
    "rpc.workers",
    "rpc.cache",
    "devices",
    "gpu_layers",
    "parallel",
    "flash_attn",
    "mlock",
    "mmap",
    "cpu_moe",
    "n_cpu_moe",
    "override_tensor",
    "split_mode",
    "tensor_split",
    "main_gpu",
    "kv_offload",
    "batch_size",
    "ubatch_size",
    "cache_type_k",
    "cache_type_v",
    "rope.scaling",
    "rope.scale",
    "rope.freq_base",
    "rope.freq_scale",
    "yarn.orig_ctx",
    "yarn.ext_factor",
    "yarn.attn_factor",
    "yarn.beta_slow",
    "yarn.beta_fast",
    "kv_unified",
    "swa_full",
    "context_shift",
    "cache_prompt",
    "cache_reuse",
    "cache_ram",
    "lora",
    "mmproj",
    "mmproj_offload",
    "embeddings",
    "rerank",
    "pooling",
    "args[0]",
    "args.numa",
  ]);
});

test("a flag that llama-fit-params lacks is left out, with its value", () => {
  const flags = [flag("ctx_size"), flag("lora", "--lora"), { key: "mlock", path: [], args: [] }, flag("model", "-m")];
  expect(fitArguments(flags, catalogue)).toEqual(["--flag", "ctx_size", "-m", "model"]);
});
