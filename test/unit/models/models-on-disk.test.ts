import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findPaths, type Paths } from "../../../src/base/files/paths.ts";
import { urlModelFolder } from "../../../src/hub/find/find-model.ts";
import { modelLockFolder, readModelLock } from "../../../src/hub/find/model-lock.ts";
import { listUrlFiles } from "../../../src/hub/find/url-files.ts";
import type { ModelEvent } from "../../../src/models/model-event.ts";
import { labelOnDisk, listModels, sizeOnDisk } from "../../../src/models/models-on-disk.ts";
import { planModelPrune, pruneModels } from "../../../src/models/prune-models.ts";
import { verifyModels } from "../../../src/models/verify-models.ts";
import type { LoadOptions } from "../../../src/profiles/load.ts";
import { sha256 } from "../../support/hub-server.ts";
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

const url = "https://example.org/own.gguf?key=s3cret";
/** The file of the address, as a pull would have left it. */
async function putUrlModel(text = content): Promise<string> {
  const [file] = listUrlFiles({ url }, { urlFolder: urlModelFolder(paths) });
  const path = file?.path ?? "";
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  return path;
}

describe("one model on disk", () => {
  const snapshot = (name: string) => join(paths.hub, "models--unsloth--Tiny-GGUF/snapshots", commit, name);

  test("is told with its profiles, commit, files and source", async () => {
    await writeProfile("q", { model: { hf, quant: "Q8_0" } });
    const { models } = await listModels(paths, load);
    const ours = {
      hf,
      url: undefined,
      name: "Tiny-Q8_0.gguf",
      quant: "Q8_0",
      commit,
      shards: [{ path: snapshot("Tiny-Q8_0.gguf"), sizeBytes: 3000 }],
      missing: 0,
      profiles: ["p", "q"],
      ref: { hf, quant: "Q8_0" },
      source: "Hugging Face cache",
      verifiedAt: undefined,
    };
    expect(models).toEqual([
      ours,
      {
        ...ours,
        name: "Tiny-Q4_0.gguf",
        quant: "Q4_0",
        shards: [expect.objectContaining({ path: snapshot("Tiny-Q4_0.gguf"), sizeBytes: 6000 })],
        profiles: [],
        ref: undefined,
      },
    ]);
    expect(models.map(sizeOnDisk)).toEqual([3000, 6000]);
    await verify("p");
    const [verified] = (await listModels(paths, load)).models;
    expect(verified).toEqual({ ...ours, verifiedAt: expect.stringMatching(/^\d{4}-.*Z$/) as string });
  });

  test("from an address has its address while a profile names it", async () => {
    const path = await putUrlModel();
    await writeProfile("p", { model: { url } });
    const model = {
      hf: undefined,
      name: path.slice(path.lastIndexOf("/") + 1),
      quant: undefined,
      commit: undefined,
      shards: [{ path, sizeBytes: 3000 }],
      missing: 0,
      source: "llmctl's own downloads",
      verifiedAt: undefined,
    };
    const named = { ...model, url, profiles: ["p"], ref: { url } };
    expect((await listModels(paths, load)).models[0]).toEqual(named);
    expect(labelOnDisk(named)).not.toContain("s3cret");
    await writeProfile("p", { model: { hf, quant: "Q8_0" } });
    const { models } = await listModels(paths, load);
    expect(models.find(({ source }) => source === model.source)).toMatchObject({
      url: undefined,
      profiles: [],
      ref: undefined,
      shards: [{ path }],
    });
  });

  test("of a commit that is pushed over keeps the commit of its lock", async () => {
    await verify("p");
    await writeFile(join(paths.hub, "models--unsloth--Tiny-GGUF/refs/main"), "d".repeat(40));
    const { models } = await listModels(paths, load);
    expect(models[0]).toMatchObject({ commit, profiles: ["p"] });
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

  test.each([
    [["p"], ["Tiny-Q8_0.gguf"]],
    [[hf], ["Tiny-Q8_0.gguf", "Tiny-Q4_0.gguf"]],
    [[`${hf}:Q4_0`], ["Tiny-Q4_0.gguf"]],
    [
      [`${hf}:Q4_0`, "p"],
      ["Tiny-Q4_0.gguf", "Tiny-Q8_0.gguf"],
    ],
    [[], ["Tiny-Q8_0.gguf", "Tiny-Q4_0.gguf"]],
  ])("the names %j are the models %j", async (names, files) => {
    const { events } = await verify(...names);
    const read = events.flatMap((event) => (event.kind === "verify-plan" ? event.files : []));
    expect(read.map(({ path }) => path.slice(path.lastIndexOf("/") + 1))).toEqual(files);
    expect(read.map(({ profile }) => profile)).toEqual(files.map((file) => (file.includes("Q8") ? "p" : undefined)));
  });

  test("reads a model again that was read before", async () => {
    await verify("p");
    const { events } = await verify("p");
    expect(events.at(-2)).toMatchObject({ kind: "verify", doneBytes: 3000, sizeBytes: 3000 });
  });

  test("of an address is asked for by its address, with or without its key", async () => {
    await putUrlModel();
    await writeProfile("p", { model: { url, sha256: sha256(content) } });
    const named = async (name: string) => (await verify(name)).events.at(-1);
    const result = {
      kind: "verify-result",
      model: '"https://example.org/own.gguf"',
      sizeBytes: 3000,
      outcome: "right",
      problems: [],
    };
    expect(await named(url)).toEqual(result);
    expect(await named("https://example.org/own.gguf?key=other")).toEqual(result);
    await expect(verify("https://example.org/other.gguf")).rejects.toMatchObject({ code: "model-unknown" });
  });

  test("knows nothing of a model whose digest nobody knows, and reads nothing", async () => {
    await putUrlModel();
    await writeProfile("p", { model: { url } });
    const { isRight, events } = await verify("p");
    expect(isRight).toBe(true);
    expect(events).toMatchObject([{ kind: "verify-result", outcome: "unknown", problems: [], sizeBytes: 3000 }]);
  });

  test("locks the reference of a model that is right, and of no damaged one", async () => {
    const lock = () => readModelLock(modelLockFolder(paths.state), { hf, quant: "Q8_0" });
    const path = join(paths.hub, "models--unsloth--Tiny-GGUF/snapshots", commit, "Tiny-Q8_0.gguf");
    await writeFile(path, Buffer.alloc(3000, "other"));
    expect((await verify("p")).isRight).toBe(false);
    expect(await lock()).toBeUndefined();
    await writeFile(path, content);
    expect((await verify("p")).isRight).toBe(true);
    expect(await lock()).toMatchObject({ commit, files: [{ name: "Tiny-Q8_0.gguf", digest: sha256(content) }] });
  });

  test("that is interrupted ends, and calls nothing damaged", async () => {
    const options = { paths, load, env: { HF_HUB_OFFLINE: "1" }, signal: AbortSignal.abort() };
    const events: ModelEvent[] = [];
    await expect(verifyModels([], { ...options, onEvent: (event) => void events.push(event) })).rejects.toMatchObject({
      code: "interrupted",
      exit: "interrupted",
    });
    expect(events.map(({ kind }) => kind)).not.toContain("verify-result");
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

  test("keeps the parts of a model that is not complete, whatever file a pull would resume with", async () => {
    const shards = ["Big-Q8_0-00001-of-00002.gguf", "Big-Q4_0-00001-of-00002.gguf"];
    await putPythonCache(
      paths.hub,
      "o/Big-GGUF",
      commit,
      shards.map((name) => ({ name, content })),
    );
    await writeProfile("q", { model: { hf: "o/Big-GGUF", quant: "Q8_0" } });
    await writeProfile("r", { model: { hf: "o/Big-GGUF", file: "Big-Q8_0-00001-of-00002.gguf" } });
    const names = async () => (await planModelPrune(paths, load)).models.map(({ name }) => name).toSorted();
    expect(await names()).toEqual(["Big-Q4_0-00001-of-00002.gguf", "Tiny-Q4_0.gguf"]);
    await rm(join(dir, "profiles/q.yaml"));
    expect(await names()).toEqual(["Big-Q4_0-00001-of-00002.gguf", "Tiny-Q4_0.gguf"]);
    await rm(join(dir, "profiles/r.yaml"));
    expect(await names()).toEqual([...shards, "Tiny-Q4_0.gguf"].toSorted());
  });

  test("keeps a model from an address while a profile names it; carried out, the rest is gone", async () => {
    const path = await putUrlModel();
    await writeProfile("q", { model: { url } });
    const { signal } = new AbortController();
    await pruneModels(await planModelPrune(paths, load), paths, signal);
    expect([existsSync(path), (await listModels(paths, load)).models.length]).toEqual([true, 2]);
    await rm(join(dir, "profiles/q.yaml"));
    await pruneModels(await planModelPrune(paths, load), paths, signal);
    expect([existsSync(path), (await listModels(paths, load)).models.length]).toEqual([false, 1]);
  });

  test("is refused when a profile cannot be read", async () => {
    await writeProfile("broken", "model: [");
    await expect(planModelPrune(paths, load)).rejects.toMatchObject({
      fix: expect.stringContaining("what it uses is not known") as string,
    });
  });
});
