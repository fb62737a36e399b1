import { describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { FlagCatalogue } from "../../../../src/llama/ask/flag-catalogue.ts";
import { parseHelp } from "../../../../src/llama/ask/help-text.ts";
import { commandLine, type Rendering, renderServer } from "../../../../src/llama/render/render-command.ts";
import type { Values } from "../../../support/any-profile.ts";
import { makeProfile, oldHelp, readCatalogue, serverBuilds } from "../../../support/llama-help.ts";

const catalogues = Object.fromEntries(serverBuilds.map((build) => [build, readCatalogue(build)])) as Record<
  (typeof serverBuilds)[number],
  FlagCatalogue
>;
const models = { target: "/m/target.gguf", draft: "/m/draft.gguf" };

const render = (values: Values, catalogue: FlagCatalogue): Rendering =>
  renderServer(makeProfile(values), models, catalogue);

/** The part of the command line that these values add to a profile with a model only. */
function added(values: Values, catalogue: FlagCatalogue): string {
  const base = commandLine(render({}, catalogue));
  return commandLine(render(values, catalogue)).slice(base.length).join(" ");
}

function refusedAt(values: Values, catalogue: FlagCatalogue): (string | undefined)[] {
  try {
    render(values, catalogue);
  } catch (error) {
    if (error instanceof LlmctlError) return error.problems.map(({ at }) => at);
    throw error;
  }
  return [];
}

describe.each(serverBuilds)("on every build, here %s", (build) => {
  test.each<[Values, string]>([
    [{ cpu_moe: true }, "--cpu-moe"],
    [{ n_cpu_moe: 60 }, "--n-cpu-moe 60"],
    [{ override_tensor: ["exps=CPU", "blk.1=CUDA1"] }, "--override-tensor exps=CPU,blk.1=CUDA1"],
    [{ split_mode: "row", tensor_split: [3, 1.5], main_gpu: 1 }, "--split-mode row --tensor-split 3,1.5 --main-gpu 1"],
    [{ kv_offload: false }, "--no-kv-offload"],
    [{ fit_target: [1024, 2048], fit_ctx: 4096 }, "--fit-target 1024,2048 --fit-ctx 4096"],
    [
      { threads_batch: 8, batch_size: 4096, ubatch_size: 1024 },
      "--threads-batch 8 --batch-size 4096 --ubatch-size 1024",
    ],
    [
      { rope: { scaling: "yarn", scale: 4, freq_base: 1000000 }, yarn: { orig_ctx: 32768, beta_fast: 32 } },
      "--rope-scaling yarn --rope-scale 4.0 --rope-freq-base 1000000.0 --yarn-orig-ctx 32768 --yarn-beta-fast 32.0",
    ],
    [
      { swa_full: true, context_shift: true, cache_reuse: 256, cache_ram: -1 },
      "--swa-full --context-shift --cache-reuse 256 --cache-ram -1",
    ],
    [{ chat_template: "chatml" }, "--chat-template chatml"],
    [{ chat_template_file: "/t.jinja" }, "--chat-template-file /t.jinja"],
    [{ chat_template_kwargs: { enable_thinking: false } }, '--chat-template-kwargs {"enable_thinking":false}'],
    [{ reasoning_format: "deepseek", reasoning_budget: 0 }, "--reasoning-format deepseek --reasoning-budget 0"],
    [{ lora: ["/a.gguf", { path: "/b.gguf" }] }, "--lora /a.gguf,/b.gguf"],
    [{ lora: ["/a.gguf", { path: "/b.gguf", scale: 0.5 }] }, "--lora-scaled /a.gguf:1.0,/b.gguf:0.5"],
    [{ mmproj: "/p.gguf", mmproj_offload: false }, "--mmproj /p.gguf --no-mmproj-offload"],
    [{ rerank: true }, "--rerank"],
    [{ embeddings: true, pooling: "last" }, "--embeddings --pooling last"],
    [
      { server: { slots: false, threads_http: 4, sleep_idle_seconds: 900 } },
      "--no-slots --threads-http 4 --sleep-idle-seconds 900",
    ],
    [{ sampling: { presence_penalty: 1.5, repeat_penalty: 1 } }, "--presence-penalty 1.5 --repeat-penalty 1.0"],
  ])("%j", (values, expected) => {
    expect(added(values, catalogues[build])).toBe(expected);
  });
});

describe("one key over the builds", () => {
  const draft = (more: Values) => ({ draft: { model: "/m/draft.gguf", n_max: 4, p_min: 0.5, ...more } });
  test.each<[Values, keyof typeof catalogues, string]>([
    [{ reasoning: "off" }, "v0.5.0", "--reasoning off"],
    [{ reasoning: "off" }, "b7698", "--reasoning-budget 0"],
    [{ reasoning: "off", reasoning_budget: -1 }, "b7698", "--reasoning-budget -1"],
    [{ reasoning_budget: 4096 }, "v0.5.0", "--reasoning-budget 4096"],
    [{ reasoning_effort: "high" }, "v0.5.0", "--reasoning-effort high"],
    [{ reasoning_effort: "high" }, "b7698", '--chat-template-kwargs {"reasoning_effort":"high"}'],
    [
      { reasoning_effort: "high", chat_template_kwargs: { builtin_tools: false } },
      "b10068",
      '--chat-template-kwargs {"builtin_tools":false,"reasoning_effort":"high"}',
    ],
    [{ server: { ui: false } }, "v0.5.0", "--no-ui"],
    [{ server: { ui: false } }, "b7698", "--no-webui"],
  ])("%j on %s", (values, build, expected) => {
    expect(added(values, catalogues[build])).toBe(expected);
  });

  test.each<[Values, string, string]>([
    [{ threads: 8 }, "--threads-draft 8", "--spec-draft-threads 8"],
    [{ cache_type_k: "q8_0" }, "--cache-type-k-draft q8_0", "--spec-draft-type-k q8_0"],
    [{ cache_type_v: "q8_0" }, "--cache-type-v-draft q8_0", "--spec-draft-type-v q8_0"],
    [{ cpu_moe: true }, "--cpu-moe-draft", "--spec-draft-cpu-moe"],
    [{ n_cpu_moe: 20 }, "--n-cpu-moe-draft 20", "--spec-draft-n-cpu-moe 20"],
    [{ override_tensor: ["a=CPU"] }, "--override-tensor-draft a=CPU", "--spec-draft-override-tensor a=CPU"],
  ])("draft: %j", (more, older, newer) => {
    const key = `draft.${Object.keys(more)[0]}`;
    const flagOf = (build: keyof typeof catalogues) =>
      render(draft(more), catalogues[build])
        .flags.find((flag) => flag.key === key)
        ?.args.join(" ");
    expect(flagOf("b7698")).toBe(older);
    expect(flagOf("v0.5.0")).toBe(newer);
  });
});

describe("a key that a build does not support", () => {
  test("is refused when the profile would have another meaning without it", () => {
    expect(refusedAt({ reasoning_budget: 4096 }, catalogues["b7698"])).toEqual(["p.yaml:reasoning_budget"]);
    expect(refusedAt({ split_mode: "tensor" }, catalogues["b7698"])).toEqual(["p.yaml:split_mode"]);
    expect(refusedAt({ lora: ["/a,b.gguf"] }, catalogues["v0.5.0"])).toEqual(["p.yaml:lora"]);
  });

  test("is left out with a reason when the server works without it", () => {
    const old = new FlagCatalogue("old", parseHelp(oldHelp));
    const values = {
      fit_target: [1024],
      fit_ctx: 4096,
      cache_ram: 0,
      reasoning: "auto",
      kv_offload: true,
      context_shift: false,
    };
    const { notes } = render(values, old);
    expect(added(values, old)).toBe("");
    expect(notes.map(({ key }) => key).sort()).toEqual(Object.keys(values).sort());
  });

  test("adapters of builds that take one at a time", () => {
    const text =
      `${oldHelp}--lora FNAME                            path to LoRA adapter (can be repeated to use ` +
      `multiple adapters)\n--lora-scaled FNAME SCALE               path to LoRA adapter with user defined scaling\n`;
    const catalogue = new FlagCatalogue("old", parseHelp(text));
    expect(added({ lora: ["/a,b.gguf", "/c.gguf"] }, catalogue)).toBe("--lora /a,b.gguf --lora /c.gguf");
    expect(added({ lora: ["/a.gguf", { path: "/b.gguf", scale: 2 }] }, catalogue)).toBe(
      "--lora-scaled /a.gguf 1.0 --lora-scaled /b.gguf 2.0",
    );
  });
});
