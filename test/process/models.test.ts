import { access, appendFile, chown, mkdir, open, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { buildGguf, modelKeys } from "../support/gguf-builder.ts";
import { sha256, startHubServer, type HubServer } from "../support/hub-server.ts";
import { llmctl, startLlmctl, type RunResult } from "../support/llmctl.ts";
import { putPythonCache, putPythonFolder } from "../support/python-cache.ts";
import { fakeLlamaServer, TempHome } from "../support/temp-home.ts";

const hf = "unsloth/Tiny-GGUF";
const commit = "c0ffee".padEnd(40, "0");
const newCommit = "decade".padEnd(40, "0");
const tensors = [{ name: "token_embd.weight", ne: [256, 512] }];
const tokens = Array.from({ length: 32 }, (_, id) => `token${id}`);
const target = buildGguf({ metadata: modelKeys(), tensors: [...tensors, { name: "output.weight", ne: [64] }] });
const newTarget = buildGguf({ metadata: modelKeys(), tensors: [...tensors, { name: "output.weight", ne: [128] }] });
const draft = buildGguf({ metadata: modelKeys(), tensors });
const stranger = buildGguf({ metadata: modelKeys({ "tokenizer.ggml.tokens": tokens.with(7, "another") }), tensors });
const targetName = "UD-Q2_K_XL/Tiny-UD-Q2_K_XL.gguf";

let server: HubServer;
let home: TempHome;
let hubCache: string;

beforeEach(async () => {
  server = await startHubServer();
  home = await TempHome.create();
  hubCache = home.join(".cache/huggingface/hub");
  publish(commit, target);
});

afterEach(async () => {
  await server.close();
  await home[Symbol.asyncDispose]();
});

function publish(at: string, served: Buffer): void {
  const files = {
    [targetName]: served,
    "Draft-Q4_0.gguf": draft,
    "Stranger-Q2_K.gguf": stranger,
    "README.md": Buffer.from(at),
  };
  server.repos.set(hf, {
    commit: at,
    files: Object.fromEntries(Object.entries(files).map(([name, content]) => [name, { content }])),
  });
}

function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<RunResult> {
  return llmctl(args, { home, env: { HF_ENDPOINT: server.url, ...env } });
}

const offline = { HF_HUB_OFFLINE: "1" };

function writeProfile(name: string, draftQuant?: string, more: object = {}): Promise<string> {
  const drafting = draftQuant === undefined ? {} : { draft: { model: { hf, quant: draftQuant } } };
  return home.writeProfile(name, {
    model: { hf, quant: "UD-Q2_K_XL" },
    ...drafting,
    llama: { binary: fakeLlamaServer },
    ...more,
  });
}

const snapshot = (at: string, name = targetName) => join(hubCache, "models--unsloth--Tiny-GGUF/snapshots", at, name);
const hubRequests = () => server.requests.filter(({ origin }) => origin === "hub").map(({ path }) => path);

describe("up", () => {
  test("fetches missing models before it starts, and needs no network the next time", async () => {
    await writeProfile("p", "Q4_0");
    const first = await run(["up", "p", "-d"]);
    expect(first.stderr).toContain("Tiny-UD-Q2_K_XL.gguf  526.0 kB, verified");
    expect(first.stdout).toContain("drafting on");
    expect(first.exitCode).toBe(0);
    await run(["down", "p"]);
    server.requests.length = 0;
    expect((await run(["up", "p", "-d"])).exitCode).toBe(0);
    await run(["down", "p"]);
    expect(server.requests).toEqual([]);
  });

  test("requests the listing, then headers, and only then a model", async () => {
    await writeProfile("p", "Q4_0");
    await run(["up", "p", "-d"]);
    await run(["down", "p"]);
    const kinds = server.requests.flatMap(({ path, headers }) => {
      if (path.includes("/tree/")) return ["listing"];
      if (!path.startsWith("/content/")) return [];
      return [headers.range === "bytes=0-131071" ? "header" : "content"];
    });
    expect(kinds.indexOf("listing")).toBeLessThan(kinds.indexOf("header"));
    expect(kinds.lastIndexOf("header")).toBeLessThan(kinds.indexOf("content"));
  });

  test("never fetches a draft that cannot speed up its target, and says why without another request", async () => {
    await writeProfile("p", "Q2_K");
    const first = await run(["up", "p", "-d"]);
    expect(first.stderr).toContain('"p" will serve without drafting: token 7 differs');
    expect(first.exitCode).toBe(0);
    await run(["down", "p"]);
    server.requests.length = 0;
    expect((await run(["up", "p", "-d"], offline)).stderr).toContain("drafting off: token 7 differs");
    await run(["down", "p"]);
    expect(server.requests).toEqual([]);
    await expect(access(join(hubCache, "models--unsloth--Tiny-GGUF/blobs", sha256(stranger)))).rejects.toMatchObject({
      code: "ENOENT",
    });
  });

  test("fetches nothing for a start that the build refuses", async () => {
    await writeProfile("p", undefined, { args: ["--no-such-flag"] });
    const { exitCode, stderr } = await run(["up", "p", "-d"]);
    expect(stderr).toContain("--no-such-flag");
    expect(exitCode).toBe(78);
    expect(server.fetched()).toEqual([]);
  });

  test("fetches nothing with --no-fetch, and nothing offline", async () => {
    await writeProfile("p");
    const { exitCode, stderr } = await run(["up", "p", "--no-fetch"]);
    expect(stderr).toContain('fix: run "llmctl pull p"');
    expect(exitCode).toBe(66);
    expect((await run(["up", "p"], offline)).stderr).toContain("HF_HUB_OFFLINE forbids fetching it");
    expect(server.requests).toEqual([]);
  });
});

describe("files that the Python client has fetched", () => {
  test("are found in its cache, read once, and used without network", async () => {
    const [path = ""] = await putPythonCache(hubCache, hf, commit, [{ name: targetName, content: target }]);
    const foreign = join(hubCache, "models--unsloth--Tiny-GGUF/blobs", `${sha256(draft)}.incomplete`);
    await writeFile(foreign, "half");
    await writeProfile("p");
    const first = await run(["pull", "p", "--json"], offline);
    const events = first.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events[0]).toMatchObject({ event: "verify-plan", files: [{ path, digest: sha256(target) }] });
    expect(events.at(-1)).toMatchObject({ event: "done", files: [{ path }] });
    const second = await run(["pull", "p", "--json"], offline);
    expect(second.stdout).not.toContain("verify");
    expect(await readFile(foreign, "utf8")).toBe("half");
    expect(server.requests).toEqual([]);
  });

  test("are found in the folder of a local_dir download", async () => {
    const [path] = await putPythonFolder(home.join("models", hf), commit, [{ name: targetName, content: target }]);
    await writeProfile("p", undefined, { model_dirs: [home.join("models")] });
    expect((await run(["up", "p", "-d"], offline)).exitCode).toBe(0);
    await run(["down", "p"]);
    const [model] = JSON.parse((await run(["models", "--json"])).stdout) as Record<string, unknown>[];
    expect(model).toMatchObject({ commit, shards: [{ path }], profiles: ["p"], verifiedAt: expect.any(String) });
  });

  test("are not used when they are damaged, and the error names the blob to delete", async () => {
    const [path = ""] = await putPythonCache(hubCache, hf, commit, [{ name: targetName, content: target }]);
    const file = await open(path, "r+");
    await file.write(Buffer.from([7]), 0, 1, target.length - 1);
    await file.close();
    await writeProfile("p");
    const { exitCode, stderr } = await run(["up", "p", "-d"]);
    expect(stderr).toContain(`is damaged: its digest is`);
    expect(stderr).toContain(`fix: delete "${await realpath(path)}"`);
    expect(exitCode).toBe(66);
    await rm(await realpath(path));
    expect((await run(["pull", "p"])).exitCode).toBe(0);
    expect(await readFile(path)).toEqual(target);
  });

  test("are not read with --no-verify, and count as not verified", async () => {
    await putPythonCache(hubCache, hf, commit, [{ name: targetName, content: target }]);
    await writeProfile("p");
    const { stdout } = await run(["pull", "p", "--no-verify", "--json"]);
    expect(stdout).not.toContain("verify");
    expect((await run(["models"])).stdout).toMatch(/UD-Q2_K_XL +526\.0 kB +p +no +Hugging Face cache/);
  });
});

describe("a locked model", () => {
  beforeEach(async () => {
    await writeProfile("p");
    await run(["pull", "p"]);
    publish(newCommit, newTarget);
  });

  test("stays on its commit when the branch moves on", async () => {
    server.requests.length = 0;
    expect((await run(["pull", "p"])).stdout).toContain("nothing to fetch");
    expect(server.requests).toEqual([]);
  });

  test("is shown as outdated, and moves to the new commit with --update", async () => {
    const [shown] = JSON.parse((await run(["outdated", "--json"])).stdout) as unknown[];
    expect(shown).toEqual({
      model: `"${hf}" (UD-Q2_K_XL)`,
      profiles: ["p"],
      commit,
      newest: newCommit,
      missingBytes: newTarget.length,
    });
    expect((await run(["outdated", "p"])).stdout).toContain("move on with: llmctl pull --update p");
    await run(["pull", "--update", "p"]);
    expect(await readFile(snapshot(newCommit))).toEqual(newTarget);
    expect((await run(["plan", "p"])).stdout).toContain(snapshot(newCommit));
    expect((await run(["outdated", "p"])).stdout).toBe("all models are the newest ones");
  });

  test("is not outdated by a commit that changes other files", async () => {
    publish(newCommit, target);
    expect((await run(["outdated", "p"])).stdout).toBe("all models are the newest ones");
    expect((await run(["pull", "--update", "p"])).stdout).toContain("nothing to fetch");
  });

  test("names the command to move on when the Hub no longer has its commit", async () => {
    await rm(join(hubCache, "models--unsloth--Tiny-GGUF"), { recursive: true });
    const { exitCode, stderr } = await run(["pull", "p"]);
    expect(stderr).toContain(`is locked to commit ${commit}, which no longer exists on the Hub`);
    expect(stderr).toContain('fix: run "llmctl pull --update p"');
    expect(exitCode).toBe(66);
  });
});

describe("models", () => {
  test("verify finds a changed byte, and forgets that the file was verified", async () => {
    await writeProfile("p");
    await run(["pull", "p"]);
    expect((await run(["models", "verify", "p"])).stdout).toContain("all as it should be");
    await appendFile(snapshot(commit), "x");
    await rm(home.join("state/.models"), { recursive: true });
    const { exitCode, stderr } = await run(["models", "verify", `${hf}:UD-Q2_K_XL`]);
    expect(stderr).toContain("is damaged");
    expect(exitCode).toBe(66);
    expect((await run(["models", "verify", "q"])).stderr).toContain('no model of "q" is here');
  });

  test("verify asks the Hub for the digests of files of unknown origin", async () => {
    await putPythonFolder(home.join("models", hf), commit, [{ name: targetName, content: target }]);
    await rm(home.join("models", hf, ".cache"), { recursive: true });
    await writeProfile("p", undefined, { model_dirs: [home.join("models")] });
    expect((await run(["models", "verify"], offline)).stdout).toContain("not verified, its digests are not known");
    expect((await run(["models", "verify"])).stdout).toContain("all as it should be");
    expect((await run(["models", "verify"], offline)).stdout).toContain("all as it should be");
  });

  test("prune deletes the models that no profile uses, after a confirmation", async () => {
    await writeProfile("p", "Q4_0");
    await run(["pull", "p"]);
    await writeProfile("p");
    const asked = await run(["models", "prune"]);
    expect(asked.stdout).toBe(`"${hf}" (Q4_0)  ${(draft.length / 1000).toFixed(1)} kB  commit c0ffee00
no profile uses these; deleting them frees ${(draft.length / 1000).toFixed(1)} kB`);
    expect(asked.exitCode).toBe(2);
    expect((await run(["models", "prune", "--yes"])).stdout).toContain("freed");
    await expect(access(snapshot(commit, "Draft-Q4_0.gguf"))).rejects.toMatchObject({ code: "ENOENT" });
    expect(await readFile(snapshot(commit))).toEqual(target);
    expect((await run(["models", "prune", "--yes"])).stdout).toBe("nothing to delete: profiles use all that is here");
  });

  test("prune keeps the files of an incomplete model that a profile uses", async () => {
    const names = [1, 2].map((i) => `Q8_0/Tiny-Q8_0-0000${i}-of-00002.gguf`);
    const [first = ""] = await putPythonCache(hubCache, hf, commit, [{ name: names[0] ?? "", content: draft }]);
    await home.writeProfile("p", { model: { hf, quant: "Q8_0" } });
    expect((await run(["models", "prune", "--yes"])).stdout).toBe("nothing to delete: profiles use all that is here");
    expect(await readFile(first)).toEqual(draft);
  });

  test("prune keeps a model that another process uses", async () => {
    await putPythonCache(hubCache, hf, commit, [{ name: targetName, content: target }]);
    const held = await open(snapshot(commit), "r");
    try {
      expect((await run(["models", "prune", "--yes"])).stdout).toContain("stays: another process uses it");
    } finally {
      await held.close();
    }
    expect(await readFile(snapshot(commit))).toEqual(target);
  });

  // Only root can act as two users.
  test.skipIf(process.getuid?.() !== 0 && process.env["CI"] === undefined)(
    "root's prune deletes no name in a folder of another user's",
    async () => {
      await putPythonCache(hubCache, hf, commit, [{ name: targetName, content: target }]);
      const refs = join(hubCache, "models--unsloth--Tiny-GGUF/refs");
      await mkdir(refs, { recursive: true });
      await writeFile(join(refs, "old"), newCommit);
      await chown(refs, 4712, 4712);
      const { exitCode, stderr } = await run(["models", "prune", "--yes"]);
      expect(stderr).toMatch(/the folder \S+refs belongs to uid 4712/);
      expect(exitCode).toBe(77);
      expect(await readFile(join(refs, "old"), "utf8")).toBe(newCommit);
    },
  );

  test("prune deletes nothing while a profile cannot be read", async () => {
    await putPythonCache(hubCache, hf, commit, [{ name: targetName, content: target }]);
    await home.writeProfile("broken", "model: [");
    const { exitCode, stderr } = await run(["models", "prune", "--yes"]);
    expect(stderr).toContain("what it uses is not known");
    expect(exitCode).toBe(78);
    expect(await readFile(snapshot(commit))).toEqual(target);
  });
});

test("pull --json prints one event a line, and Ctrl-C keeps the fetched bytes", async () => {
  await writeProfile("p");
  server.faults.cdn.push({ kind: "stall", afterBytes: 300_000 });
  await using pulling = startLlmctl(["pull", "p", "--json"], { home, env: { HF_ENDPOINT: server.url } });
  await pulling.waitForLine(/"event":"bytes"/);
  const { exitCode, stdout } = await pulling.stop("SIGINT");
  expect(exitCode).toBe(130);
  const events = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(events[0]).toMatchObject({
    event: "plan",
    model: `"${hf}" (UD-Q2_K_XL)`,
    commit,
    missingBytes: target.length,
  });
  expect(events[1]).toMatchObject({ event: "bytes", file: targetName, sizeBytes: target.length });
  expect(hubRequests()).not.toEqual([]);
});
