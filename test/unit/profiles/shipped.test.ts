import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadProfile } from "../../../src/profiles/load.ts";

const folder = join(import.meta.dirname, "../../../profiles");
const load = (name: string) => loadProfile(name, { folders: [folder], env: {} });
const files = await readdir(folder);

test.each(files)("%s is valid and names its schema on its first line", async (file) => {
  const profile = await load(file.replace(/\.yaml$/, ""));
  expect(profile.values.description).toMatch(/\S/);
  const text = await readFile(join(folder, file), "utf8");
  expect(text.split("\n")[0]).toBe("# yaml-language-server: $schema=../schema/profile.schema.json");
});

test("the demo drafts with a model of the package, on the CPU", async () => {
  const { values } = await load("demo");
  expect(values).toMatchObject({
    model: join(folder, "../models/demo-target.gguf"),
    ctx_size: 512,
    gpu_layers: 0,
    server: { port: "auto" },
  });
  expect(values.draft).toMatchObject({
    model: join(folder, "../models/demo-draft.gguf"),
    n_max: 4,
    gpu_layers: 0,
    on_mismatch: "disable",
    on_loss: "warn",
  });
  expect((await load("demo-plain")).values.draft).toBeUndefined();
});

describe("the GLM-4.7 guide", () => {
  const target = {
    model: { hf: "unsloth/GLM-4.7-GGUF", quant: "UD-Q2_K_XL" },
    alias: "unsloth/GLM-4.7",
    ctx_size: 16384,
    threads: -1,
    fit: true,
    priority: "realtime",
    jinja: true,
    sampling: { temp: 1, top_p: 0.95 },
    server: { port: 8001 },
  };

  test("without drafting", async () => {
    const { values } = await load("glm47");
    expect(values).toMatchObject(target);
    expect(values.draft).toBeUndefined();
    expect(values.devices).toBeUndefined();
  });

  test("with drafting", async () => {
    const { values } = await load("glm47-spec");
    expect(values).toMatchObject({ ...target, devices: ["CUDA0"] });
    expect(values.draft).toEqual({
      model: { hf: "unsloth/GLM-4.5-Air-GGUF", quant: "UD-Q4_K_XL" },
      type: "draft-simple",
      devices: ["CUDA0", "CUDA1"],
      ctx_size: 16384,
      n_max: 16,
      p_min: 0.75,
      on_mismatch: "disable",
      on_loss: "warn",
    });
  });

  test("with drafting, in one bit", async () => {
    const { values } = await load("glm47-1bit-spec");
    const spec = (await load("glm47-spec")).values;
    expect(values).toEqual({
      ...spec,
      description: expect.any(String) as string,
      extends: "glm47-spec",
      model: { hf: "unsloth/GLM-4.7-GGUF", quant: "UD-TQ1_0" },
      draft: { ...spec.draft, model: { hf: "unsloth/GLM-4.5-Air-GGUF", quant: "UD-TQ1_0" } },
    });
    expect(values.model).toEqual((await load("glm47-1bit")).values.model);
  });
});
