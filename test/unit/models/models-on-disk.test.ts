import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findPaths, type Paths } from "../../../src/base/files/paths.ts";
import type { ModelEvent } from "../../../src/models/model-event.ts";
import { labelOnDisk, listModels } from "../../../src/models/models-on-disk.ts";
import { planModelPrune } from "../../../src/models/prune-models.ts";
import { verifyModels } from "../../../src/models/verify-models.ts";
import type { LoadOptions } from "../../../src/profiles/load.ts";
import { putPythonCache } from "../../support/python-cache.ts";

const hf = "unsloth/Tiny-GGUF";
const commit = "c0ffee".padEnd(40, "0");
const content = Buffer.alloc(3000, "llama");

let dir: string;
let paths: Paths;
let load: LoadOptions;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "llmctl-disk-"));
  paths = findPaths({ HOME: dir, LLMCTL_HOME: join(dir, "llmctl") }, 1000);
  load = { folders: [join(dir, "profiles")], env: {}, cwd: dir };
  await mkdir(join(dir, "profiles"));
  const files = [
    { name: "Tiny-Q8_0.gguf", content },
    { name: "Tiny-Q4_0.gguf", content: Buffer.concat([content, content]) },
  ];
  await putPythonCache(paths.hub, hf, commit, files);
  await writeProfile("p", { model: { hf, quant: "Q8_0" } });
});

afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

async function writeProfile(name: string, values: object | string): Promise<void> {
  await writeFile(join(dir, "profiles", `${name}.yaml`), typeof values === "string" ? values : JSON.stringify(values));
}

async function verify(...names: string[]): Promise<{ readonly isRight: boolean; readonly events: ModelEvent[] }> {
  const events: ModelEvent[] = [];
  const { signal } = new AbortController();
  const env = { HF_HUB_OFFLINE: "1" };
  const onEvent = (event: ModelEvent) => void events.push(event);
  return { isRight: await verifyModels(names, { paths, load, env, signal, onEvent }), events };
}

describe("models on disk", () => {
  test("are listed with those of profiles and their names first, then the others", async () => {
    const { models, problems } = await listModels(paths, load);
    expect(models.map(({ quant, profiles, missing }) => [quant, profiles, missing])).toEqual([
      ["Q8_0", ["p"], 0],
      ["Q4_0", [], 0],
    ]);
    expect(problems).toEqual([]);
  });

  test("are listed even when a profile cannot be read, with the reason", async () => {
    await writeProfile("broken", "model: [");
    const { models, problems } = await listModels(paths, load);
    expect(models).toHaveLength(2);
    expect(problems).toHaveLength(1);
  });

  test("have labels without escape sequences", () => {
    const nothing = { hf: undefined, url: undefined, quant: undefined };
    expect(labelOnDisk({ ...nothing, hf, name: "x.gguf" })).toBe('"unsloth/Tiny-GGUF" (x.gguf)');
    expect(labelOnDisk({ ...nothing, name: "\u001b[31mx.gguf" })).toBe(String.raw`"\x1b[31mx.gguf"`);
  });
});

describe("verifying", () => {
  test("ends each model with its result", async () => {
    const { isRight, events } = await verify("p");
    expect(isRight).toBe(true);
    expect(events.map(({ kind }) => kind)).toEqual(["verify-plan", "verify", "verify", "verify-result"]);
    expect(events.at(-1)).toMatchObject({ model: '"unsloth/Tiny-GGUF" (Q8_0)', sizeBytes: 3000, outcome: "right" });
  });

  test("goes on after a damaged model", async () => {
    await writeFile(join(paths.hub, "models--unsloth--Tiny-GGUF/snapshots", commit, "Tiny-Q8_0.gguf"), "other");
    const { isRight, events } = await verify();
    const results = events.filter((event) => event.kind === "verify-result");
    expect(results.map(({ outcome, problems }) => [outcome, problems.length])).toEqual([
      ["damaged", 1],
      ["right", 0],
    ]);
    expect(isRight).toBe(false);
  });

  test("refuses a name that no model has", async () => {
    await expect(verify(`${hf}:Q2_K`)).rejects.toMatchObject({ code: "model-unknown" });
  });
});

describe("a plan of models to prune", () => {
  test("has the models that no profile uses", async () => {
    const { models, freedBytes } = await planModelPrune(paths, load);
    expect(models.map(({ quant }) => quant)).toEqual(["Q4_0"]);
    expect(freedBytes).toBe(6000);
  });

  test("is refused when a profile cannot be read", async () => {
    await writeProfile("broken", "model: [");
    await expect(planModelPrune(paths, load)).rejects.toMatchObject({
      fix: expect.stringContaining("what it uses is not known") as string,
    });
  });
});
