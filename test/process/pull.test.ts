import { spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { access, chmod, mkdir, mkdtemp, readdir, readFile, readlink, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findModel } from "../../src/hub/find/find-model.ts";
import { planPull, pullModel, type PullEvent, type PullOptions } from "../../src/hub/download/pull-model.ts";
import type { HubModelRef } from "../../src/profiles/schema/schema.ts";
import { gitBlobId, sha256, startHubServer, type HubServer } from "../support/hub-server.ts";
import { withoutPrivileges } from "../support/namespaces.ts";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const hf = "unsloth/Tiny-GGUF";
const commit = "c0ffee".padEnd(40, "0");
const single: HubModelRef = { hf, quant: "Q8_0" };
const split: HubModelRef = { hf, quant: "UD-Q2_K_XL" };
const singleName = "Tiny-Q8_0.gguf";
const splitNames = [1, 2, 3].map((i) => `UD-Q2_K_XL/Tiny-UD-Q2_K_XL-0000${i}-of-00003.gguf`);
const content = makeBytes(300_000, "single");
const shardContents = splitNames.map((name, i) => makeBytes(50_000 + i, name));

let server: HubServer;
let dir: string;
let hubCache: string;
let events: PullEvent[];
let delays: number[];

beforeEach(async () => {
  server = await startHubServer();
  dir = await mkdtemp(join(tmpdir(), "llmctl-pull-"));
  hubCache = join(dir, "hub");
  events = [];
  delays = [];
  const shards = Object.fromEntries(
    splitNames.map((name, i) => [name, { content: shardContents[i] ?? Buffer.alloc(0) }]),
  );
  server.repos.set(hf, {
    commit,
    files: { "README.md": { content: Buffer.from("hello"), inGit: true }, [singleName]: { content }, ...shards },
  });
});

afterEach(async () => {
  expect(server.codable()).toEqual([]);
  await server.close();
  await rm(dir, { recursive: true, force: true });
});

function makeBytes(length: number, seed: string): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) =>
    createHash("sha256").update(`${seed}${i}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, length);
}

function makeOptions(more: Partial<PullOptions> = {}): PullOptions {
  return {
    hubCache,
    modelDirs: [],
    profile: "tiny",
    hub: { endpoint: server.url, offline: false },
    onProgress: (event) => void events.push(event),
    signal: new AbortController().signal,
    wait: async (ms) => void delays.push(ms),
    ...more,
  };
}

/** A promise that resolves when this many bytes of the file are on disk, and its listener. */
function whenOnDisk(bytes: number): { reached: Promise<void>; onProgress: (event: PullEvent) => void } {
  let settle = () => {};
  const reached = new Promise<void>((resolve) => (settle = resolve));
  const onProgress = (event: PullEvent) => {
    events.push(event);
    if (event.kind === "bytes" && event.doneBytes >= bytes) settle();
  };
  return { reached, onProgress };
}

const repoPath = (...parts: string[]) => join(hubCache, "models--unsloth--Tiny-GGUF", ...parts);
const snapshot = (name: string) => repoPath("snapshots", commit, name);
const listBlobs = () => readdir(repoPath("blobs"));

describe("a fresh pull", () => {
  test("lands verified in the layout of the Python client, and is then found", async () => {
    const files = await pullModel(split, makeOptions());
    expect(files.shards).toEqual(
      splitNames.map((name, i) => ({ path: snapshot(name), sizeBytes: shardContents[i]?.length })),
    );
    for (const [i, name] of splitNames.entries()) {
      expect(await readlink(snapshot(name))).toBe(`../../../blobs/${sha256(shardContents[i] ?? content)}`);
      expect(await readFile(snapshot(name))).toEqual(shardContents[i]);
    }
    expect(await readFile(repoPath("refs/main"), "utf8")).toBe(commit);
    expect((await listBlobs()).toSorted()).toEqual(shardContents.map(sha256).toSorted());
    expect(await findModel(split, makeOptions())).toEqual(files);
  });

  test("fetches nothing the second time, and sends no request", async () => {
    const first = await pullModel(split, makeOptions());
    server.requests.length = 0;
    expect(await pullModel(split, makeOptions())).toEqual(first);
    expect(server.requests).toEqual([]);
  });

  test("fetches only the shards that are missing", async () => {
    await pullModel(split, makeOptions());
    await rm(snapshot(splitNames[1] ?? ""));
    await rm(repoPath("blobs", sha256(shardContents[1] ?? content)));
    server.requests.length = 0;
    await pullModel(split, makeOptions());
    expect(server.fetched()).toEqual(["whole"]);
  });

  test("fetches a blob again that was truncated after it was verified", async () => {
    await pullModel(single, makeOptions());
    await truncate(repoPath("blobs", sha256(content)), 1000);
    await rm(snapshot(singleName));
    await pullModel(single, makeOptions());
    expect(await readFile(snapshot(singleName))).toEqual(content);
  });

  test("verifies a file in git by git's own digest", async () => {
    const small = makeBytes(2000, "small");
    server.repos.set(hf, { commit, files: { "small-F16.gguf": { content: small, inGit: true } } });
    await pullModel({ hf, file: "small-F16.gguf", revision: commit }, makeOptions());
    expect(await readlink(snapshot("small-F16.gguf"))).toBe(`../../blobs/${gitBlobId(small)}`);
    await expect(access(repoPath("refs"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("leaves the unfinished files of other programs alone", async () => {
    await mkdir(repoPath("blobs"), { recursive: true });
    const foreign = repoPath("blobs", `${sha256(content)}.incomplete`);
    await writeFile(foreign, "written by another program");
    await pullModel(single, makeOptions());
    expect(await readFile(foreign, "utf8")).toBe("written by another program");
    expect(await readFile(snapshot(singleName))).toEqual(content);
  });

  test("can be planned, which writes nothing", async () => {
    const plan = await planPull(split, makeOptions());
    expect(plan).toMatchObject({
      kind: "fetch",
      commit,
      missingBytes: 150_003,
      files: splitNames.map((name) => ({ name, haveBytes: 0 })),
    });
    await expect(access(hubCache)).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("a broken transfer", () => {
  test("is resumed after a dropped connection", async () => {
    const { reached, onProgress } = whenOnDisk(100_000);
    server.faults.cdn.push({ kind: "drop", afterBytes: 100_000, when: reached });
    await pullModel(single, makeOptions({ onProgress }));
    expect(server.fetched()).toEqual(["whole", "bytes=100000-299999"]);
    expect(server.requests.at(-1)?.headers["if-range"]).toBe(`"${sha256(content).slice(0, 16)}"`);
    expect(await readFile(snapshot(singleName))).toEqual(content);
    expect(await listBlobs()).toEqual([sha256(content)]);
  });

  test("is resumed by a later pull, which says so", async () => {
    const interrupt = new AbortController();
    server.faults.cdn.push({ kind: "stall", afterBytes: 120_000 });
    const { reached, onProgress } = whenOnDisk(120_000);
    const interrupted = pullModel(single, makeOptions({ onProgress, signal: interrupt.signal }));
    void reached.then(() => interrupt.abort());
    await expect(interrupted).rejects.toMatchObject({
      code: "interrupted",
      exit: "interrupted",
      fix: { run: ["pull", "tiny"], after: "again; it goes on from what is on disk" },
    });
    expect(await planPull(single, makeOptions())).toMatchObject({ missingBytes: 180_000 });
    await pullModel(single, makeOptions());
    expect(server.fetched()).toEqual(["whole", "bytes=120000-299999"]);
    expect(await readFile(snapshot(singleName))).toEqual(content);
  });

  test("starts over when the server answers a resume with the whole file", async () => {
    const { reached, onProgress } = whenOnDisk(100_000);
    server.faults.cdn.push({ kind: "drop", afterBytes: 100_000, when: reached }, { kind: "ignore-range" });
    await pullModel(single, makeOptions({ onProgress }));
    expect(server.fetched()).toEqual(["whole", "bytes=100000-299999", "whole"]);
    expect(await readFile(snapshot(singleName))).toEqual(content);
  });

  test("goes on with a range under another ETag: machines of one server differ, and the digest decides", async () => {
    const { reached, onProgress } = whenOnDisk(100_000);
    server.faults.cdn.push({ kind: "drop", afterBytes: 100_000, when: reached }, { kind: "other-etag" });
    await pullModel(single, makeOptions({ onProgress }));
    expect(server.fetched()).toEqual(["whole", "bytes=100000-299999"]);
    expect(await readFile(snapshot(singleName))).toEqual(content);
  });

  test("requests a range again when the server sends another one", async () => {
    const { reached, onProgress } = whenOnDisk(100_000);
    server.faults.cdn.push({ kind: "drop", afterBytes: 100_000, when: reached }, { kind: "wrong-range" });
    await pullModel(single, makeOptions({ onProgress }));
    expect(server.fetched()).toEqual(["whole", "bytes=100000-299999", "bytes=100000-299999"]);
    expect(await readFile(snapshot(singleName))).toEqual(content);
  });

  test("is resumed after an answer that ends early without an error", async () => {
    server.faults.cdn.push({ kind: "end-early", afterBytes: 70_000 });
    await pullModel(single, makeOptions());
    expect(server.fetched()).toEqual(["whole", "bytes=70000-299999"]);
    expect(events).toContainEqual({ kind: "retry", reason: "the answer ended 230000 bytes early", delayMs: 1000 });
  });

  test("is aborted and retried when no byte arrives", async () => {
    server.faults.cdn.push({ kind: "stall", afterBytes: 70_000 });
    await pullModel(single, makeOptions({ stallTimeoutMs: 500 }));
    expect(events).toContainEqual({ kind: "retry", reason: "no byte for 0.5 s", delayMs: 1000 });
    expect(await readFile(snapshot(singleName))).toEqual(content);
  });

  test("fetches once more when the digest is wrong", async () => {
    server.faults.cdn.push({ kind: "flip-byte" });
    await pullModel(single, makeOptions());
    expect(server.fetched()).toEqual(["whole", "whole"]);
    expect(await readFile(snapshot(singleName))).toEqual(content);
  });

  test("leaves nothing under any name when the digest is wrong twice", async () => {
    server.faults.cdn.push({ kind: "flip-byte" }, { kind: "flip-byte" });
    await expect(pullModel(single, makeOptions())).rejects.toMatchObject({
      code: "hub-digest-mismatch",
      exit: "missingFile",
    });
    expect(await listBlobs()).toEqual([]);
    await expect(access(repoPath("snapshots"))).rejects.toMatchObject({ code: "ENOENT" });
    await expect(access(repoPath("refs"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("is shared by two concurrent pulls: each byte is fetched once", async () => {
    let waits = () => {};
    const waiting = new Promise<void>((resolve) => (waits = resolve));
    const { reached, onProgress } = whenOnDisk(100_000);
    server.faults.cdn.push({ kind: "drop", afterBytes: 100_000, when: waiting });
    const first = pullModel(single, makeOptions({ onProgress }));
    await reached;
    const second = pullModel(single, makeOptions({ onProgress: (event) => event.kind === "waiting" && waits() }));
    expect(await second).toEqual(await first);
    expect(server.fetched()).toEqual(["whole", "bytes=100000-299999"]);
  });
});

describe("a Hub in trouble", () => {
  test("gets retries after a 503 and a 429, after the delay that it asks for", async () => {
    server.faults.hub.push(
      { kind: "status", status: 503 },
      { kind: "status", status: 429, headers: { "retry-after": "120" } },
    );
    await pullModel(single, makeOptions());
    expect(delays).toEqual([1000, 120_000]);
  });

  test("gets five retries; the error says how to resume", async () => {
    server.faults.hub.push(...Array.from({ length: 6 }, () => ({ kind: "status", status: 503 }) as const));
    await expect(pullModel(single, makeOptions())).rejects.toMatchObject({
      code: "hub-unreachable",
      exit: "unavailable",
      message: expect.stringMatching(
        /^"unsloth\/Tiny-GGUF" \(Q8_0\) could not be fetched: 127\.0\.0\.1:\d+ answered 503$/,
      ),
    });
    expect(server.requests).toHaveLength(6);
  });

  test("without a listener is unreachable", async () => {
    await server.close();
    await expect(pullModel(single, makeOptions())).rejects.toMatchObject({
      code: "hub-unreachable",
      message: /ECONNREFUSED/,
    });
    server = await startHubServer();
  });

  test("gives a new address when the signed address has expired", async () => {
    server.faults.cdn.push({ kind: "status", status: 403 });
    await pullModel(single, makeOptions());
    expect(server.requests.filter(({ path }) => path.includes("/resolve/"))).toHaveLength(2);
  });

  test("that is another web server is reported as such", async () => {
    server.faults.hub.push({ kind: "status", status: 200 });
    await expect(pullModel(single, makeOptions())).rejects.toMatchObject({
      code: "hub-bad-listing",
      fix: "check HF_ENDPOINT",
    });
  });

  test("without the repository says what to check", async () => {
    await expect(pullModel({ hf: "no/such", quant: "Q8_0" }, makeOptions())).rejects.toMatchObject({
      code: "hub-not-found",
      exit: "missingFile",
      fix: "check the repository, revision and quant or file",
    });
  });

  test("gets no request with HF_HUB_OFFLINE", async () => {
    const hub = { endpoint: server.url, offline: true };
    await expect(pullModel(single, makeOptions({ hub }))).rejects.toMatchObject({
      code: "hub-offline",
      exit: "unavailable",
    });
    expect(server.requests).toEqual([]);
  });

  test.each(["../escape-Q8_0.gguf", "/tmp/escape-Q8_0.gguf", "a/../../escape-Q8_0.gguf"])(
    "cannot place a file at %s",
    async (path) => {
      server.repos.set(hf, { commit, files: { [path]: { content } } });
      await expect(pullModel(single, makeOptions())).rejects.toMatchObject({ code: "hub-bad-listing" });
      expect(server.fetched()).toEqual([]);
      await expect(access(hubCache)).rejects.toMatchObject({ code: "ENOENT" });
    },
  );

  test("gets no request for content when the disk has no room for all files", async () => {
    server.repos.set(hf, { commit, files: { [singleName]: { content, listedSize: 8e15 } } });
    await expect(pullModel(single, makeOptions())).rejects.toMatchObject({
      code: "no-space",
      exit: "io",
      at: hubCache,
    });
    expect(server.fetched()).toEqual([]);
  });
});

describe("a token", () => {
  beforeEach(() => {
    server.repos.set(hf, { commit, token: "secret", files: { [singleName]: { content } } });
  });

  test("goes to the Hub with every request, and never to the second origin", async () => {
    await pullModel(single, makeOptions({ hub: { endpoint: server.url, token: "secret", offline: false } }));
    const sent = (origin: string) =>
      server.requests.filter((request) => request.origin === origin).map(({ headers }) => headers.authorization);
    expect(new Set(sent("hub"))).toEqual(new Set(["Bearer secret"]));
    expect(sent("cdn")).toEqual([undefined]);
  });

  test("for a gated model is required, and the error says so", async () => {
    await expect(pullModel(single, makeOptions())).rejects.toMatchObject({
      code: "hub-denied",
      exit: "permission",
      fix: expect.stringMatching(/accept its licence on http.* and set HF_TOKEN$/),
    });
  });
});

/** Runs a module in a separate process that inherits only PATH. */
function startScript(script: string, via: readonly string[] = []): ChildProcess & { lines: string[] } {
  const env = {
    PATH: process.env["PATH"],
    HOME: dir,
    LLMCTL_HOME: dir,
    HF_HUB_CACHE: hubCache,
    HF_ENDPOINT: server.url,
  };
  const [file, ...args] = [...via, process.execPath, "--import", "tsx", "--input-type=module", "-e", script];
  const child = spawn(file, args, { cwd: repository, env, stdio: ["ignore", "pipe", "pipe"] });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => lines.push(text));
  return Object.assign(child, { lines });
}

const source = (path: string) => JSON.stringify(join(repository, "src", path));

/** `llmctl pull`, with the program's error report. */
function startPull(
  names: readonly string[],
  more: { readonly dryRun?: boolean; readonly update?: boolean; readonly json?: boolean } = {},
): ChildProcess & { lines: string[] } {
  return startScript(`
    import { pull } from ${source("cli/get/pull.ts")};
    import { reportError } from ${source("cli/screen/report-error.ts")};
    const options = { dryRun: false, update: false, verify: true, json: false, ...${JSON.stringify(more)} };
    process.exitCode = await pull(${JSON.stringify(names)}, options).catch(reportError);
  `);
}

async function finish(child: ChildProcess & { lines: string[] }): Promise<{ code: unknown; output: string }> {
  const [code] = await once(child, "close");
  return { code, output: child.lines.join("") };
}

async function writeProfile(name: string, text: string): Promise<void> {
  const path = join(dir, "config/profiles", `${name}.yaml`);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}

describe("llmctl pull", () => {
  test("prints the files that it fetches, and where the model is", async () => {
    await writeProfile("tiny", `model: { hf: ${hf}, quant: UD-Q2_K_XL }\n`);
    await writeProfile("other", `model: { hf: ${hf}, quant: Q8_0 }\n`);
    const dry = await finish(startPull(["tiny", "other"], { dryRun: true }));
    expect(dry.output).toContain(`"${hf}" (UD-Q2_K_XL): 150.0 kB of 150.0 kB to fetch, 3 files, commit c0ffee00`);
    expect(dry.output).toContain(`  ${singleName}  300.0 kB\n`);
    expect(server.fetched()).toEqual([]);
    const { code, output } = await finish(startPull(["tiny", "other"]));
    expect(output).toContain(`${singleName}  300.0 kB, verified\n`);
    expect(output).toContain(`"${hf}" (Q8_0): Hugging Face cache, 300.0 kB in 1 file\n`);
    expect(code).toBe(0);
  });

  test("ends on Ctrl-C with code 130 and names the command to resume", async () => {
    await writeProfile("tiny", `model: { hf: ${hf}, quant: Q8_0 }\n`);
    server.faults.cdn.push({ kind: "stall", afterBytes: 1000 });
    const child = startPull(["tiny"]);
    child.stderr?.once("data", () => child.kill("SIGINT"));
    const { code, output } = await finish(child);
    expect(output).toContain('fix: run "llmctl pull tiny" again; it goes on from what is on disk');
    expect(code).toBe(130);
  });

  test("fetches nothing for a local file", async () => {
    const path = join(dir, "local.gguf");
    await writeFile(path, "GGUF");
    await writeProfile("local", `model: ${path}\n`);
    const { code, output } = await finish(startPull(["local"]));
    expect(output).toBe(`"${path}": local file, 4 B in 1 file, nothing to fetch\n`);
    expect(code).toBe(0);
  });

  test("reports a model file without read permission", async () => {
    const path = join(dir, "private.gguf");
    await writeFile(path, "GGUF");
    await chmod(path, 0);
    const child = startScript(
      `
      import { findModel } from ${source("hub/find/find-model.ts")};
      const options = { hubCache: "/none", modelDirs: [], profile: "tiny" };
      const error = await findModel(${JSON.stringify(path)}, options).catch((caught) => caught);
      console.log(error.code, error.exit);
    `,
      withoutPrivileges(),
    );
    expect((await finish(child)).output).toBe("permission-denied permission\n");
  });
});
