import { access, readFile, rm, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { buildGguf, editGguf, modelKeys, writeSplitSet, type GgufParts } from "../support/gguf-builder.ts";
import { buildGlmSized } from "../support/glm-sized.ts";
import { startHubServer, type HubServer } from "../support/hub-server.ts";
import { llmctl, type RunResult } from "../support/llmctl.ts";
import { fakeLlamaServer, TempHome } from "../support/temp-home.ts";

const hf = "unsloth/Tiny-GGUF";
const commit = "c0ffee".padEnd(40, "0");
const tensors = [{ name: "token_embd.weight", ne: [1024, 512] }];
const target = buildGguf({ metadata: modelKeys(), tensors: [...tensors, { name: "output.weight", ne: [64] }] });
const draft = buildGguf({ metadata: modelKeys(), tensors });
const tokens = Array.from({ length: 32 }, (_, id) => `token${id}`);
const stranger = buildGguf({ metadata: modelKeys({ "tokenizer.ggml.tokens": tokens.with(7, "another") }), tensors });

let server: HubServer;
let home: TempHome;

beforeEach(async () => {
  server = await startHubServer();
  home = await TempHome.create();
  publish({ "Target-Q8_0.gguf": target, "Draft-Q4_0.gguf": draft, "Stranger-Q2_K.gguf": stranger });
});

afterEach(async () => {
  await server.close();
  await home[Symbol.asyncDispose]();
});

function publish(files: Readonly<Record<string, Buffer>>, token?: string): void {
  const served = Object.fromEntries(Object.entries(files).map(([name, content]) => [name, { content }]));
  server.repos.set(hf, { commit, files: served, ...(token === undefined ? {} : { token }) });
}

function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<RunResult> {
  return llmctl(args, { home, env: { HF_ENDPOINT: server.url, ...env } });
}

async function runJson(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Record<string, unknown>> {
  const { stdout, stderr } = await run([...args, "--json"], env);
  expect(stderr).toBe("");
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** Bytes of content in the requested ranges; a request for a whole file counts as infinite. */
function askedBytes(): number {
  return server.fetched().reduce((sum, range) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range) ?? [];
    return sum + (to === undefined ? Infinity : Number(to) - Number(from) + 1);
  }, 0);
}

describe("inspect", () => {
  test("reads only the start of a Hub model, by its quant", async () => {
    const facts = await runJson(["inspect", `hf:${hf}:Q8_0`]);
    expect(facts).toMatchObject({
      architecture: "llama",
      shards: [{ path: `hf:${hf}/Target-Q8_0.gguf`, sizeBytes: target.length }],
    });
    expect(facts["bytesRead"]).toBe(131_072);
    expect(askedBytes()).toBe(131_072);
  });

  test("lists the quants when the reference names none", async () => {
    const { exitCode, stderr } = await run(["inspect", `hf:${hf}`]);
    expect(stderr).toContain("could mean 3 models: Draft-Q4_0.gguf, Stranger-Q2_K.gguf, Target-Q8_0.gguf");
    expect(exitCode).toBe(78);
  });

  test("adds up the shards of a split set", async () => {
    const parts: GgufParts = {
      metadata: modelKeys(),
      tensors: ["a", "b", "c"].map((name) => ({ name, ne: [32, 100_000] })),
    };
    const paths = await writeSplitSet(home.join("set"), "Big-Q4_K_M", parts, 3);
    publish(
      Object.fromEntries(
        await Promise.all(paths.map(async (path) => [path.split("/").at(-1) ?? "", await readFile(path)] as const)),
      ),
    );
    expect(await runJson(["inspect", `hf:${hf}:Q4_K_M`])).toMatchObject({
      parameters: 9_600_000,
      bytesRead: 3 * 131_072,
    });
  });

  test("reads a file at an address, and prints the bytes and requests", async () => {
    const { stdout } = await run(["inspect", `${server.url}/${hf}/resolve/${commit}/Draft-Q4_0.gguf`]);
    expect(stdout).toContain("architecture   llama\n");
    expect(stdout).toMatch(/\n\nread 131\.1 kB of headers in 1 request$/);
  });

  test("stops reading where a server sends the whole file", async () => {
    server.faults.cdn.push({ kind: "ignore-range" });
    const huge = buildGguf({ metadata: modelKeys(), tensors: [{ name: "t", ne: [1024, 10_000] }] });
    publish({ "Huge-F32.gguf": huge });
    expect((await runJson(["inspect", `hf:${hf}:F32`]))["bytesRead"]).toBeLessThan(1_000_000);
    expect(huge.length).toBeGreaterThan(40_000_000);
  });

  test("reports a file that is truncated where it is published", async () => {
    publish({ "Cut-Q8_0.gguf": target.subarray(0, 600) });
    const { exitCode, stderr } = await run(["inspect", `hf:${hf}:Q8_0`]);
    expect(stderr).toMatch(
      /hf:unsloth\/Tiny-GGUF\/Cut-Q8_0\.gguf is truncated: the header runs to byte \d+ or further, the file has 600/,
    );
    expect(stderr).toContain("fix: use another file");
    expect(exitCode).toBe(66);
  });

  test("sends the token to the Hub and not to the target of its redirect", async () => {
    publish({ "Target-Q8_0.gguf": target }, "secret");
    await runJson(["inspect", `hf:${hf}:Q8_0`], { HF_TOKEN: "secret" });
    const sent = (origin: string) =>
      server.requests.filter((one) => one.origin === origin).map(({ headers }) => headers.authorization);
    expect(new Set(sent("hub"))).toEqual(new Set(["Bearer secret"]));
    expect(sent("cdn")).toEqual([undefined]);
  });

  test("sends no token to an address that is not the Hub's", async () => {
    const other = await startHubServer();
    try {
      await run(["inspect", `${server.url}/${hf}/resolve/${commit}/Target-Q8_0.gguf`], {
        HF_TOKEN: "secret",
        HF_ENDPOINT: other.url,
      });
      expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined]);
    } finally {
      await other.close();
    }
  });

  test("sends no request with HF_HUB_OFFLINE", async () => {
    const { exitCode, stderr } = await run(["inspect", `hf:${hf}:Q8_0`], { HF_HUB_OFFLINE: "1" });
    expect(stderr).toContain("HF_HUB_OFFLINE forbids fetching it");
    expect(exitCode).toBe(69);
    expect(server.requests).toEqual([]);
  });
});

describe("check of two models", () => {
  test("is on for a pair that fits, and names the rule that it assumed", async () => {
    const { exitCode, stdout } = await run(["check", `hf:${hf}:Q8_0`, `hf:${hf}:Q4_0`]);
    expect(stdout).toContain("ok    drafting  the two models fit; a running server must still prove it");
    expect(stdout).toContain("no build of llama.cpp is installed; judged as builds since b9842 do");
    expect(stdout).toContain("read  262.1 kB of headers in 2 requests; 3.9 MB in 2 files not downloaded");
    expect(exitCode).toBe(0);
  });

  test("is off for a pair that does not fit, and names the first difference, the outcome and the fix", async () => {
    const args = ["check", `hf:${hf}:Q8_0`, `hf:${hf}:Q2_K`];
    const { exitCode, stdout } = await run(args);
    expect(stdout).toContain('off   drafting  token 7 differs: target "token7", draft "another"\n');
    expect(stdout).toContain("llama.cpp serves without drafting\n");
    expect(stdout).toContain("fix: use a draft with the target's own tokenizer");
    expect(exitCode).toBe(78);
    expect(await runJson(args)).toMatchObject({
      verdict: "off",
      firstDifference: { id: 7, target: "token7", draft: "another" },
      llamaCpp: "serves-without-drafting",
      rule: "strict",
      build: null,
      bytesRead: 262_144,
      downloadsSaved: 2,
    });
  });

  test("reads a local file", async () => {
    await writeFile(home.join("target.gguf"), target);
    expect(await runJson(["check", "target.gguf", `hf:${hf}:Q4_0`])).toMatchObject({
      verdict: "on",
      target: { isRemote: false, source: "local file", bytesRead: 0 },
      draft: { isRemote: true, bytesRead: 131_072 },
      downloadsSaved: 1,
    });
  });

  test("reads at most 12 MB of each model of a pair as large as GLM's", async () => {
    const wrongToken = buildGlmSized(46, (texts) => texts.splice(150_000, 1, "another"));
    // As in a model with real weights, the header is a small part of the file.
    const weights = Buffer.alloc(30_000_000);
    publish({
      "Glm-Q8_0.gguf": Buffer.concat([buildGlmSized(92), weights]),
      "Air-Q4_0.gguf": Buffer.concat([wrongToken, weights]),
    });
    const result = await runJson(["check", `hf:${hf}:Q8_0`, `hf:${hf}:Q4_0`]);
    expect(result).toMatchObject({ verdict: "off", firstDifference: { id: 150_000, draft: "another" } });
    for (const model of ["target", "draft"])
      expect((result[model] as { bytesRead: number }).bytesRead).toBeLessThanOrEqual(12_000_000);
    expect(askedBytes()).toBe(result["bytesRead"]);
    expect(result["bytesSaved"]).toBeGreaterThan(52_000_000);
  });
});

describe("check --remote", () => {
  test("judges a profile without local files, by the rule of its build", async () => {
    await home.writeProfile("p", {
      model: { hf, quant: "Q8_0" },
      draft: { model: { hf, quant: "Q2_K" } },
      llama: { binary: fakeLlamaServer },
    });
    const { exitCode, stdout } = await run(["check", "p", "--remote"]);
    expect(stdout).toContain('off   drafting  token 7 differs: target "token7", draft "another"\n');
    expect(stdout).toContain(`ok    build     ${fakeLlamaServer}`);
    expect(exitCode).toBe(78);
  });

  test("reads the models that are on this machine", async () => {
    await home.writeProfile("p", { model: { hf, quant: "Q8_0" }, draft: { model: { hf, quant: "Q4_0" } } });
    await run(["pull", "p"]);
    server.requests.length = 0;
    expect(await runJson(["check", "p", "--remote"])).toMatchObject({ verdict: "on", bytesRead: 0, downloadsSaved: 0 });
    expect(server.requests).toEqual([]);
  });
});

describe("pull", () => {
  const profile = (onMismatch: string) => ({
    model: { hf, quant: "Q8_0" },
    draft: { model: { hf, quant: "Q2_K" }, on_mismatch: onMismatch },
    llama: { binary: fakeLlamaServer },
  });
  const wholes = () => server.fetched().filter((range) => range === "whole").length;

  test("leaves out a draft that cannot speed up its target, says so, and the profile starts without it", async () => {
    await home.writeProfile("p", profile("disable"));
    const { exitCode, stdout } = await run(["pull", "p"]);
    expect(stdout).toContain(
      '"unsloth/Tiny-GGUF" (Q2_K): not fetched (2.1 MB), "p" will serve without drafting: token 7 differs',
    );
    expect(exitCode).toBe(0);
    expect(wholes()).toBe(1);
    const plan = await run(["plan", "p"]);
    expect(plan.stderr).toContain('drafting off: token 7 differs: target "token7", draft "another"');
    expect(plan.stdout).not.toContain("Stranger");
    expect((await run(["check", "p"])).exitCode).toBe(0);
  });

  test("counts the draft as missing when its note is lost", async () => {
    await home.writeProfile("p", profile("disable"));
    await run(["pull", "p"]);
    await rm(home.join("cache/skipped-drafts"), { recursive: true });
    const { exitCode, stdout } = await run(["check", "p"]);
    expect(stdout).toContain('fix: run "llmctl pull p"');
    expect(exitCode).toBe(66);
  });

  test("fails before the first byte with on_mismatch: fail", async () => {
    await home.writeProfile("p", profile("fail"));
    const { exitCode, stderr } = await run(["pull", "p"]);
    expect(stderr).toContain(
      'the draft cannot speed up this target: token 7 differs: target "token7", draft "another"',
    );
    expect(exitCode).toBe(78);
    expect(wholes()).toBe(0);
    await expect(access(home.join(".cache/huggingface"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("fetches the draft once the published file is right", async () => {
    await home.writeProfile("p", profile("disable"));
    await run(["pull", "p"]);
    const right = await editGguf(stranger, (metadata) => Object.assign(metadata, { "tokenizer.ggml.tokens": tokens }));
    publish({ "Target-Q8_0.gguf": target, "Stranger-Q2_K.gguf": right });
    expect((await run(["pull", "p"])).stdout).toContain('"unsloth/Tiny-GGUF" (Q2_K): Hugging Face cache');
    expect((await run(["plan", "p"])).stdout).toContain("Stranger-Q2_K.gguf");
  });
});
