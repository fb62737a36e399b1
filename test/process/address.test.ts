import { access, copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { buildGguf, modelKeys, writeSplitSet, type GgufParts } from "../support/gguf-builder.ts";
import { makeContent } from "../support/hub-content.ts";
import { sha256, startHubServer, type HubServer } from "../support/hub-server.ts";
import { llmctl, startLlmctl, type RunResult } from "../support/llmctl.ts";
import { demoTarget, fakeLlamaServer, TempHome } from "../support/temp-home.ts";
import { until } from "../support/until.ts";

const tensors = [{ name: "token_embd.weight", ne: [256, 512] }];
const target = buildGguf({ metadata: modelKeys(), tensors: [...tensors, { name: "output.weight", ne: [64] }] });
const newTarget = buildGguf({ metadata: modelKeys(), tensors: [...tensors, { name: "output.weight", ne: [128] }] });
const draft = buildGguf({ metadata: modelKeys(), tensors });
const tokens = Array.from({ length: 32 }, (_, id) => `token${id}`);
const stranger = buildGguf({ metadata: modelKeys({ "tokenizer.ggml.tokens": tokens.with(7, "another") }), tensors });
const page = Buffer.from("<!DOCTYPE html><title>Log in</title>".padEnd(target.length));
const hf = "unsloth/Tiny-GGUF";
const commit = "c0ffee".padEnd(40, "0");

let server: HubServer;
let home: TempHome;

beforeEach(async () => {
  server = await startHubServer();
  home = await TempHome.create();
  server.plain.set("/m/Tiny-Q8_0.gguf", { content: target });
});

afterEach(async () => {
  expect(server.codable()).toEqual([]);
  await server.close();
  await home[Symbol.asyncDispose]();
});

const address = (path = "/m/Tiny-Q8_0.gguf") => `${server.url}${path}`;
const models = (...parts: string[]) => home.join("data/models", ...parts);

/** The files with final names. */
async function listModels(): Promise<string[]> {
  return (await readdir(models())).filter((name) => name.endsWith(".gguf")).toSorted();
}

/** The digest of the only model on disk. */
async function digestOfOnly(): Promise<string> {
  const names = await listModels();
  expect(names).toHaveLength(1);
  return sha256(await readFile(models(names[0] ?? "")));
}

function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<RunResult> {
  return llmctl(args, { home, env: { HF_TOKEN: "secret", ...env } });
}

function writeProfile(values: object): Promise<string> {
  return home.writeProfile("p", { llama: { binary: fakeLlamaServer }, ...values });
}

function withOtherEnd(content: Buffer): Buffer {
  return Buffer.concat([content.subarray(0, -1), Buffer.from([(content.at(-1) ?? 0) ^ 1])]);
}

/** The requested ranges so far; `first` for the request that asks for size and version. */
function asked(): string[] {
  return server.requests.map(({ headers: { range = "whole" } }) => (range === "bytes=0-3" ? "first" : range));
}

describe("pull", () => {
  test("fetches an address into the data folder, says that it is unverified, and then needs no network", async () => {
    await writeProfile({ model: address() });
    const { exitCode, stdout, stderr } = await run(["pull", "p"]);
    expect(stderr).toContain("Tiny-Q8_0.gguf  526.0 kB, not checked against a known digest");
    expect(stdout).toContain(`"${address()}": llmctl's own downloads, 526.0 kB in 1 file`);
    expect(stdout).toContain(
      `is not checked against a known digest: write { url, sha256 }; what came has sha256 ${sha256(target)}`,
    );
    expect(exitCode).toBe(0);
    expect(await listModels()).toEqual([expect.stringMatching(/^[0-9a-f]{12}-Tiny-Q8_0\.gguf$/)]);
    expect(await digestOfOnly()).toBe(sha256(target));
    server.requests.length = 0;
    expect((await run(["pull", "p"], { HF_HUB_OFFLINE: "1" })).stdout).toContain("nothing to fetch");
    expect(server.requests).toEqual([]);
  });

  test("sends the token to no address, not even to one at the Hub's own origin", async () => {
    await writeProfile({ model: address() });
    expect((await run(["pull", "p"], { HF_ENDPOINT: server.url })).exitCode).toBe(0);
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined]);
  });

  test("only says what it would fetch with --dry-run", async () => {
    await writeProfile({ model: address() });
    const { exitCode, stdout } = await run(["pull", "p", "--dry-run"]);
    expect(stdout).toContain(`"${address()}": 526.0 kB of 526.0 kB to fetch, 1 file\n  Tiny-Q8_0.gguf  526.0 kB`);
    expect(exitCode).toBe(0);
    await expect(access(models())).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("compares the file with the profile's sha256", async () => {
    await writeProfile({ model: { url: address(), sha256: sha256(target).toUpperCase() } });
    const { exitCode, stdout, stderr } = await run(["pull", "p"]);
    expect(stderr).toContain("Tiny-Q8_0.gguf  526.0 kB, verified");
    expect(stdout).not.toContain("known digest");
    expect(exitCode).toBe(0);
  });

  test("reads a file whose record is lost, and compares it with the profile's sha256", async () => {
    await writeProfile({ model: { url: address(), sha256: sha256(target) } });
    await run(["pull", "p"]);
    await rm(home.join("state/.models"), { recursive: true });
    const [name = ""] = await listModels();
    await writeFile(models(name), withOtherEnd(target));
    const { exitCode, stderr } = await run(["pull", "p"]);
    expect(stderr).toContain(
      `${name}" is damaged: its digest is ${sha256(withOtherEnd(target))} instead of ${sha256(target)}`,
    );
    expect(exitCode).toBe(66);
    await writeFile(models(name), target);
    expect((await run(["pull", "p"])).exitCode).toBe(0);
    expect((await run(["models", "verify", "p"])).stdout).toContain("all as it should be");
  });

  test("fetches a file with the wrong sha256 once more, then gives up and keeps nothing", async () => {
    await writeProfile({ model: { url: address(), sha256: sha256(newTarget) } });
    const { exitCode, stderr } = await run(["pull", "p"]);
    expect(stderr).toContain(
      `arrived twice with content that is not what the profile's sha256 names (digest ${sha256(newTarget)})`,
    );
    expect(stderr).toContain("fix: compare the sha256 with the publisher's");
    expect(exitCode).toBe(66);
    expect(asked()).toEqual(["first", "whole", "whole"]);
    expect(await readdir(models())).toEqual([".locks"]);
  });

  test("fetches again when the profile gets another sha256", async () => {
    await writeProfile({ model: address() });
    await run(["pull", "p"]);
    server.plain.set("/m/Tiny-Q8_0.gguf", { content: newTarget });
    await writeProfile({ model: { url: address(), sha256: sha256(newTarget) } });
    expect((await run(["check", "p"])).stdout).toContain("does not have the sha256 of the profile");
    expect((await run(["pull", "p"])).exitCode).toBe(0);
    expect(await digestOfOnly()).toBe(sha256(newTarget));
  });

  test("refuses a changed file until --update accepts it", async () => {
    await writeProfile({ model: address() });
    await run(["pull", "p"]);
    server.plain.set("/m/Tiny-Q8_0.gguf", { content: newTarget });
    expect((await run(["outdated"])).stdout).toContain(address());
    await rm(models(), { recursive: true });
    const { exitCode, stderr } = await run(["pull", "p"]);
    expect(stderr).toContain("has changed since it was first fetched: it had 526.0 kB then and has 526.2 kB now");
    expect(stderr).toContain('fix: run "llmctl pull --update p"');
    expect(exitCode).toBe(66);
    expect((await run(["pull", "--update", "p"])).exitCode).toBe(0);
    expect(await digestOfOnly()).toBe(sha256(newTarget));
    expect((await run(["pull", "--update", "p"])).stdout).toContain("nothing to fetch");
  });

  test("refuses changed content of the same size", async () => {
    await writeProfile({ model: address() });
    await run(["pull", "p"]);
    await rm(models(), { recursive: true });
    server.plain.set("/m/Tiny-Q8_0.gguf", { content: withOtherEnd(target) });
    const { exitCode, stderr } = await run(["pull", "p"]);
    expect(stderr).toContain(
      `arrived twice with content that is not what was first fetched from there (digest ${sha256(target)})`,
    );
    expect(stderr).toContain('fix: run "llmctl pull --update p" to accept the new content');
    expect(exitCode).toBe(66);
    expect(await listModels()).toEqual([]);
  });

  test.each([
    ["a web page", { content: page, type: "text/html" }, "is a web page, not a GGUF file"],
    [
      "another file",
      { content: Buffer.from("PK\u0003\u0004 and so on") },
      String.raw`is not a GGUF file: it begins with "PK\u0003\u0004"`,
    ],
  ])("refuses %s and keeps nothing", async (_, file, message) => {
    server.plain.set("/m/Tiny-Q8_0.gguf", file);
    await writeProfile({ model: address() });
    const { exitCode, stderr } = await run(["pull", "p"]);
    expect(stderr).toContain(`${address()} ${message}`);
    expect(stderr).toContain("fix: use the address of the file itself");
    expect(exitCode).toBe(66);
    await expect(access(models())).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("keeps nothing of a web page that later replaces the file", async () => {
    server.plain.set("/m/Tiny-Q8_0.gguf", { content: target, isSimple: true, next: { content: page, isSimple: true } });
    await writeProfile({ model: address() });
    const { exitCode, stderr } = await run(["pull", "p"]);
    expect(stderr).toContain("content that is not a GGUF file");
    expect(exitCode).toBe(66);
    expect(await listModels()).toEqual([]);
  });

  test.each([
    [404, 66, "check the address"],
    [403, 77, "use an address that needs no login"],
  ])("reports an answer %d", async (status, exit, fix) => {
    server.faults.hub.push({ kind: "status", status });
    await writeProfile({ model: `${address()}?signature=secret` });
    const { exitCode, stderr } = await run(["pull", "p"]);
    expect(stderr).toContain(`(status ${status})`);
    expect(stderr).toContain(`fix: ${fix}`);
    expect(stderr).not.toContain("signature");
    expect(exitCode).toBe(exit);
  });

  test("sends no request with HF_HUB_OFFLINE", async () => {
    await writeProfile({ model: address() });
    const { exitCode, stderr } = await run(["pull", "p"], { HF_HUB_OFFLINE: "1" });
    expect(stderr).toContain(`"${address()}" is not on this machine, and HF_HUB_OFFLINE forbids fetching it`);
    expect(exitCode).toBe(69);
    expect(server.requests).toEqual([]);
  });

  test("fetches a file whole behind a proxy that compresses what it may", async () => {
    server.faults.hub.push({ kind: "gzip" }, { kind: "gzip" });
    await writeProfile({ model: address() });
    expect((await run(["pull", "p"])).exitCode).toBe(0);
    expect(await digestOfOnly()).toBe(sha256(target));
  });

  test("fetches a file whole from a server without ranges", async () => {
    server.plain.set("/m/Tiny-Q8_0.gguf", { content: target, isSimple: true });
    await writeProfile({ model: { url: address(), sha256: sha256(target) } });
    expect((await run(["pull", "p"])).exitCode).toBe(0);
    expect(asked()).toEqual(["first", "whole"]);
    expect(await digestOfOnly()).toBe(sha256(target));
  });
});

describe("a pull that was killed", () => {
  const large = Buffer.concat([target, makeContent(3_000_000, "large")]);

  /** Kills a pull that has recorded bytes of a file that then stalls. */
  async function killAt(afterBytes: number): Promise<void> {
    server.faults.hub.push({ kind: "none" }, { kind: "stall", afterBytes });
    await using pulling = startLlmctl(["pull", "p"], { home });
    await until("bytes are recorded", async () => {
      const names = await readdir(models()).catch(() => []);
      const record = names.find((name) => name.endsWith(".llmctl.ranges"));
      return record !== undefined && (await readFile(models(record), "utf8")).includes("0 524288");
    });
    expect((await pulling.stop("SIGKILL")).signal).toBe("SIGKILL");
  }

  test("is resumed, and asks for the same content", async () => {
    server.plain.set("/m/Tiny-Q8_0.gguf", { content: large });
    await writeProfile({ model: address() });
    await killAt(1_000_000);
    server.requests.length = 0;
    expect((await run(["pull", "p"])).exitCode).toBe(0);
    expect(asked()).toEqual(["first", `bytes=524288-${large.length - 1}`]);
    expect(server.requests.at(-1)?.headers["if-range"]).toMatch(/^"[0-9a-f]{16}"$/);
    expect(await digestOfOnly()).toBe(sha256(large));
  });

  test("starts over when the content has changed", async () => {
    server.plain.set("/m/Tiny-Q8_0.gguf", { content: large });
    await writeProfile({ model: address() });
    await killAt(1_000_000);
    const other = Buffer.concat([target, makeContent(3_000_000, "other")]);
    server.plain.set("/m/Tiny-Q8_0.gguf", { content: other });
    expect((await run(["pull", "p"])).exitCode).toBe(0);
    expect(await digestOfOnly()).toBe(sha256(other));
  });

  test("starts over when the content has changed on a server that takes no notice of If-Range", async () => {
    server.plain.set("/m/Tiny-Q8_0.gguf", { content: large });
    await writeProfile({ model: address() });
    await killAt(1_000_000);
    const other = Buffer.concat([target, makeContent(3_000_000, "other")]);
    server.plain.set("/m/Tiny-Q8_0.gguf", { content: other });
    server.faults.hub.push({ kind: "none" }, { kind: "ignore-if-range" });
    server.requests.length = 0;
    expect((await run(["pull", "p"])).exitCode).toBe(0);
    expect(asked()).toEqual(["first", `bytes=524288-${large.length - 1}`, "whole"]);
    expect(await digestOfOnly()).toBe(sha256(other));
  });

  test("starts over when the server sends nothing that would show a change", async () => {
    server.plain.set("/m/Tiny-Q8_0.gguf", { content: large, isSimple: true });
    await writeProfile({ model: address() });
    await killAt(1_000_000);
    server.requests.length = 0;
    expect((await run(["pull", "p"])).exitCode).toBe(0);
    expect(asked()).toEqual(["first", "whole"]);
    expect(await digestOfOnly()).toBe(sha256(large));
  });
});

describe("a split set", () => {
  const parts: GgufParts = {
    metadata: modelKeys(),
    tensors: ["a", "b", "c"].map((name) => ({ name, ne: [32, 1000] })),
  };
  const first = "/set/Big-Q4_K_M-00001-of-00002.gguf";
  let contents: Buffer[];

  beforeEach(async () => {
    const paths = await writeSplitSet(home.join("set"), "Big-Q4_K_M", parts, 2);
    contents = await Promise.all(paths.map((path) => readFile(path)));
    for (const [i, content] of contents.entries())
      server.plain.set(`/set/Big-Q4_K_M-0000${i + 1}-of-00002.gguf`, { content });
  });

  test("is fetched whole, compared with its digests, and kept under one name", async () => {
    await writeProfile({ model: { url: address(first), sha256: contents.map(sha256) } });
    expect((await run(["pull", "p"])).exitCode).toBe(0);
    const names = await listModels();
    expect(await Promise.all(names.map(async (name) => sha256(await readFile(models(name)))))).toEqual(
      contents.map(sha256),
    );
    expect(names[1]).toBe(names[0]?.replace("00001-of", "00002-of"));
    expect((await run(["plan", "p"])).stdout).toContain(models(names[0] ?? ""));
  });

  test("fetches only the shard that is missing", async () => {
    await writeProfile({ model: address(first) });
    await run(["pull", "p"]);
    await rm(models((await listModels())[1] ?? ""));
    server.requests.length = 0;
    expect((await run(["pull", "p"])).exitCode).toBe(0);
    expect(server.requests.filter(({ headers }) => headers.range === undefined).map(({ path }) => path)).toEqual([
      first.replace("00001-of", "00002-of"),
    ]);
  });

  test.each([
    [
      { url: first, sha256: "a".repeat(64) },
      "is a model of 2 files, but the profile has one sha256",
      "give a list of 2, in the order of the shards",
    ],
    [{ url: first.replace("00001-of", "00002-of") }, "is shard 2 of 2, not the first", "name "],
  ])("named as %o is refused", async ({ url, ...more }, message, fix) => {
    await writeProfile({ model: { url: address(url), ...more } });
    const { exitCode, stderr } = await run(["pull", "p"]);
    expect(stderr).toContain(message);
    expect(stderr).toContain(`fix: ${fix}`);
    expect(exitCode).toBe(78);
    expect(server.requests).toEqual([]);
  });
});

describe("a profile with an address", () => {
  test("starts after its missing files are fetched", async () => {
    server.plain.set("/m/Draft.gguf", { content: draft });
    await writeProfile({
      model: { url: address(), sha256: sha256(target) },
      draft: { model: address("/m/Draft.gguf") },
    });
    const { exitCode, stdout } = await run(["up", "p", "-d"]);
    expect(stdout).toContain("drafting on");
    expect(exitCode).toBe(0);
    await run(["down", "p"]);
    expect(await listModels()).toHaveLength(2);
  });

  test("has its draft judged by the header; an unfit draft is never fetched", async () => {
    server.plain.set("/m/Stranger.gguf", { content: stranger });
    await writeProfile({ model: address(), draft: { model: address("/m/Stranger.gguf") } });
    expect((await run(["check", "p", "--remote"])).stdout).toContain(
      'off   drafting  token 7 differs: target "token7", draft "another"',
    );
    expect((await run(["pull", "p"])).stdout).toContain(`"${address("/m/Stranger.gguf")}": not fetched (`);
    expect(await digestOfOnly()).toBe(sha256(target));
    expect((await run(["plan", "p"])).stderr).toContain("drafting off: token 7 differs");
    expect(server.requests.flatMap(({ headers }) => headers.authorization ?? [])).toEqual([]);
  });

  test("is planned and checked before anything is fetched", async () => {
    await writeProfile({ model: address() });
    const plan = await run(["plan", "p"]);
    expect(plan.stdout).toContain("<Tiny-Q8_0.gguf>");
    expect(plan.stderr).toContain(`${address()} is not checked against a known digest: write { url, sha256 }`);
    const check = await run(["check", "p"]);
    expect(check.stdout).toContain(`"${address()}" is not on this machine`);
    expect(check.stdout).toContain('fix: run "llmctl pull p"');
    expect(check.exitCode).toBe(66);
    expect(server.requests).toEqual([]);
  });

  test("shows its model, verifies it, and keeps it until no profile names it", async () => {
    await writeProfile({ model: address() });
    await run(["pull", "p"]);
    expect(JSON.parse((await run(["models", "--json"])).stdout)).toMatchObject([
      { hf: null, url: address(), profiles: ["p"], sizeBytes: target.length, verifiedAt: expect.any(String) as string },
    ]);
    expect((await run(["models", "verify", "p"])).stdout).toContain(`"${address()}": 526.0 kB, all as it should be`);
    expect((await run(["models", "prune", "--yes"])).stdout).toContain("nothing to delete");
    const [name = ""] = await listModels();
    await writeFile(models(name), withOtherEnd(target));
    const damaged = await run(["models", "verify", address()]);
    expect(damaged.stderr).toContain("is damaged: its digest is");
    expect(damaged.exitCode).toBe(66);
    await home.writeProfile("p", { model: demoTarget });
    expect((await run(["models", "prune", "--yes"])).stdout).toContain(`"${name}"`);
    expect(await listModels()).toEqual([]);
  });
});

describe("a projector and an adapter", () => {
  test("are fetched with the model, and named on the command line", async () => {
    server.repos.set(hf, {
      commit,
      files: { "mmproj-F16.gguf": { content: stranger }, "Tiny-Q4_0.gguf": { content: draft } },
    });
    server.plain.set("/a/style.gguf", { content: newTarget });
    await writeProfile({
      model: { hf, quant: "Q4_0" },
      mmproj: { hf, file: "mmproj-F16.gguf" },
      lora: [{ url: address("/a/style.gguf"), sha256: sha256(newTarget), scale: 0.5 }],
    });
    const env = { HF_ENDPOINT: server.url };
    expect((await run(["plan", "p"], env)).stdout).toContain(`<${hf}:mmproj-F16.gguf>`);
    expect((await run(["pull", "p"], env)).exitCode).toBe(0);
    const { stdout } = await run(["plan", "p"]);
    expect(stdout).toMatch(/--mmproj \S+\/snapshots\/c0ffee0+\/mmproj-F16\.gguf /);
    expect(stdout).toMatch(/--lora-scaled \S+\/data\/models\/[0-9a-f]{12}-style\.gguf:0\.5 /);
    const exported = (await run(["export", "compose", "p"])).stdout;
    expect(exported).toContain(`- /models/${hf}/mmproj-F16.gguf\n`);
    expect(exported).toMatch(/- \/models\/[0-9a-f]{12}-style\.gguf:0\.5\n/);
    expect((await run(["models", "prune", "--yes"])).stdout).toContain("nothing to delete");
  });
});

describe("a file: address", () => {
  test("is the path that it names", async () => {
    await mkdir(home.join("with space"));
    await copyFile(demoTarget, home.join("with space/demo.gguf"));
    await writeProfile({ model: pathToFileURL(home.join("with space/demo.gguf")).href });
    const { exitCode, stdout } = await run(["plan", "p"]);
    expect(stdout).toContain(home.join("with space/demo.gguf"));
    expect(exitCode).toBe(0);
  });
});

describe("check --remote", () => {
  test("reads the commit that the profile is locked to", async () => {
    const publish = (at: string, content: Buffer) =>
      server.repos.set(hf, {
        commit: at,
        files: { "Tiny-Q8_0.gguf": { content: target }, "Tiny-Q4_0.gguf": { content } },
      });
    publish(commit, draft);
    await writeProfile({ model: { hf, quant: "Q8_0" }, draft: { model: { hf, quant: "Q4_0" } } });
    const env = { HF_ENDPOINT: server.url };
    await run(["pull", "p"], env);
    await rm(home.join(".cache"), { recursive: true });
    publish("decade".padEnd(40, "0"), stranger);
    const { exitCode, stderr } = await run(["check", "p", "--remote"], env);
    expect(stderr).toContain(`is locked to commit ${commit}, which no longer exists on the Hub`);
    expect(exitCode).toBe(66);
    publish(commit, draft);
    expect((await run(["check", "p", "--remote"], env)).exitCode).toBe(0);
  });
});
