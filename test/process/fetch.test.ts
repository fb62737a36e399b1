import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, open, readdir, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { planPull, pullModel, type PullEvent, type PullOptions } from "../../src/hub/download/pull-model.ts";
import { standardLimits, type TransferLimits } from "../../src/hub/download/transfer.ts";
import type { HubModelRef } from "../../src/profiles/schema/schema.ts";
import { bundleSources } from "../support/bundle-sources.ts";
import { makeContent, randomNumbers } from "../support/hub-content.ts";
import { sha256, startHubServer, type HubServer } from "../support/hub-server.ts";
import { withSmallDisk } from "../support/namespaces.ts";
import { chooseSeed } from "../support/seed.ts";

const hf = "unsloth/Large-GGUF";
const commit = "c0ffee".padEnd(40, "0");
const name = "Large-Q8_0.gguf";
const single: HubModelRef = { hf, quant: "Q8_0" };
/** Ten ranges of a file of 1 MB, and small steps. */
const limits = { connections: 4, files: 2, rangeBytes: 100_000, stepBytes: 10_000 };
const content = makeContent(1_000_000, "one");

const tenRanges = Array.from({ length: 10 }, (_, i) => `bytes=${i * 100_000}-${i}99999`.replace("=0-0", "=0-"));

const tempFolder = (): Promise<string> => mkdtemp(join(tmpdir(), "llmctl-fetch-"));
const builtFolder = await tempFolder();
const built = await bundleSources(["hub/download/pull-model.ts", "hub/http/hub-settings.ts"], builtFolder);
afterAll(() => rm(builtFolder, { recursive: true }));

let server: HubServer;
let dir: string;
let hubCache: string;
let events: PullEvent[];

beforeEach(async () => {
  server = await startHubServer();
  dir = await tempFolder();
  hubCache = join(dir, "hub");
  events = [];
  publish({ [name]: content });
});

afterEach(async () => {
  expect(server.codable()).toEqual([]);
  await server.close();
  await rm(dir, { recursive: true, force: true });
});

function publish(files: Readonly<Record<string, Buffer>>): void {
  server.repos.set(hf, {
    commit,
    files: Object.fromEntries(Object.entries(files).map(([path, bytes]) => [path, { content: bytes }])),
  });
}

function makeOptions(more: Partial<PullOptions> = {}): PullOptions {
  return {
    hubCache,
    modelDirs: [],
    profile: "large",
    hub: { endpoint: server.url, offline: false },
    onProgress: (event) => void events.push(event),
    signal: new AbortController().signal,
    wait: async () => {},
    limits,
    ...more,
  };
}

const blobs = (...parts: string[]) => join(hubCache, "models--unsloth--Large-GGUF", "blobs", ...parts);
const hasBlob = async (of: Buffer) => (await readFile(blobs(sha256(of)))).equals(of);
const retries = () => events.filter(({ kind }) => kind === "retry");

/** Bytes of a file that were requested so far. */
function askedBytes(sizeBytes: number): number {
  return server.fetched().reduce((sum, range) => {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range) ?? [];
    return sum + (last === undefined ? sizeBytes : Number(last) - Number(first) + 1);
  }, 0);
}

describe("ranges of a file", () => {
  test("are fetched concurrently, each once, from an address that is resolved once", async () => {
    await pullModel(single, makeOptions());
    expect(server.fetched().toSorted()).toEqual(tenRanges);
    expect(server.requests.filter(({ path }) => path.includes("/resolve/"))).toHaveLength(1);
    expect(await hasBlob(content)).toBe(true);
    expect(await readdir(blobs())).toEqual([sha256(content)]);
  });

  test("continue from a new address, without a message, when the signed one expires midway", async () => {
    let hasExpired = false;
    const onProgress = (event: PullEvent) => {
      events.push(event);
      if (hasExpired || event.kind !== "bytes" || event.doneBytes < 300_000) return;
      hasExpired = true;
      server.expireAddresses();
    };
    await pullModel(
      single,
      makeOptions({ onProgress, hub: { endpoint: server.url, token: "secret", offline: false } }),
    );
    expect(server.requests.filter(({ path }) => path.includes("/resolve/"))).toHaveLength(2);
    expect(retries()).toEqual([]);
    expect(await hasBlob(content)).toBe(true);
    const sent = server.requests.filter(({ origin }) => origin === "cdn").map(({ headers }) => headers.authorization);
    expect(new Set(sent)).toEqual(new Set([undefined]));
  });

  test("that are interrupted are resumed, and the others are left alone", async () => {
    server.faults.cdn.push({ kind: "end-early", afterBytes: 50_000 }, { kind: "end-early", afterBytes: 25_000 });
    await pullModel(single, makeOptions());
    expect(askedBytes(content.length)).toBe(content.length + 50_000 + 75_000);
    expect(await hasBlob(content)).toBe(true);
  });

  test.each([
    { status: 429, headers: { "retry-after": "7" }, delayMs: 7000 },
    { status: 503, headers: { "retry-after": "7" }, delayMs: 7000 },
    { status: 416, headers: {}, delayMs: 1000 },
    { status: 500, headers: {}, delayMs: 1000 },
  ])("are requested again after a $status", async ({ status, headers, delayMs }) => {
    server.faults.cdn.push({ kind: "status", status, headers });
    await pullModel(single, makeOptions());
    expect(retries()).toEqual([{ kind: "retry", reason: expect.stringContaining(`answered ${status}`), delayMs }]);
    expect(await hasBlob(content)).toBe(true);
  });

  test("are replaced by one whole download when the server does not support them", async () => {
    server.faults.cdn.push(...Array.from({ length: 10 }, () => ({ kind: "ignore-range" }) as const));
    await pullModel(single, makeOptions());
    expect(server.fetched().at(-1)).toBe("whole");
    expect(await hasBlob(content)).toBe(true);
  });

  test("with a wrong byte are detected and fetched again once", async () => {
    server.faults.cdn.push({ kind: "flip-byte" });
    await pullModel(single, makeOptions());
    expect(retries()).toEqual([
      { kind: "retry", reason: `"${name}" arrived with content that is not what the Hub lists`, delayMs: 0 },
    ]);
    expect(askedBytes(content.length)).toBe(2 * content.length);
    expect(await hasBlob(content)).toBe(true);
  });

  test("with a byte that changed on disk between two pulls are detected, too", async () => {
    const interrupt = new AbortController();
    const onProgress = (event: PullEvent) => event.kind === "bytes" && event.doneBytes > 500_000 && interrupt.abort();
    await expect(pullModel(single, makeOptions({ onProgress, signal: interrupt.signal }))).rejects.toMatchObject({
      code: "interrupted",
    });
    const part = await open(blobs(`${sha256(content)}.llmctl.incomplete`), "r+");
    await part.write(Buffer.from([content.readUInt8(1000) ^ 1]), 0, 1, 1000);
    await part.close();
    await pullModel(single, makeOptions());
    expect(retries()).toHaveLength(1);
    expect(await hasBlob(content)).toBe(true);
  });

  test("are all discarded when the server's content has changed", async () => {
    const interrupt = new AbortController();
    const onProgress = (event: PullEvent) => event.kind === "bytes" && event.doneBytes > 500_000 && interrupt.abort();
    await expect(pullModel(single, makeOptions({ onProgress, signal: interrupt.signal }))).rejects.toMatchObject({
      code: "interrupted",
    });
    server.requests.length = 0;
    server.faults.cdn.push({ kind: "ignore-range" });
    await pullModel(single, makeOptions());
    expect(retries()).toEqual([
      { kind: "retry", reason: expect.stringContaining(`starting "${name}" over`), delayMs: 0 },
    ]);
    expect(server.fetched().slice(-10).toSorted()[0]).toBe("bytes=0-99999");
    expect(await hasBlob(content)).toBe(true);
  });

  test("that an interrupted process has fetched are not requested again by the next", async () => {
    const interrupt = new AbortController();
    const onProgress = (event: PullEvent) => {
      events.push(event);
      if (event.kind === "bytes" && event.doneBytes > 500_000) interrupt.abort();
    };
    await expect(pullModel(single, makeOptions({ onProgress, signal: interrupt.signal }))).rejects.toMatchObject({
      code: "interrupted",
    });
    const reached = Math.max(...events.map((event) => (event.kind === "bytes" ? event.doneBytes : 0)));
    server.requests.length = 0;
    await pullModel(single, makeOptions());
    expect(askedBytes(content.length)).toBe(content.length - reached);
  });
});

/** A pull in a separate process, which prints its number of bytes as they arrive. */
interface PullProcess {
  readonly child: ChildProcess;
  readonly lines: string[];
  /** Its exit code; null when it was killed. */
  readonly ended: Promise<number | null>;
}

interface ProcessOptions {
  readonly ref?: HubModelRef;
  readonly limitRate?: number;
  readonly limits?: TransferLimits;
  readonly env?: Readonly<Record<string, string>>;
  readonly via?: readonly string[];
  /** Called with each line as it comes. */
  readonly onLine?: (line: string, child: ChildProcess) => void;
  /** Statements that run with each event. */
  readonly onEvent?: string;
}

function startPull({
  ref = single,
  limitRate,
  limits: own,
  env = {},
  via = [],
  onLine,
  onEvent = "",
}: ProcessOptions = {}): PullProcess {
  const script = `
    import { readdirSync, writeFileSync, writeSync } from "node:fs";
    import { pullModel } from ${JSON.stringify(built("hub/download/pull-model.ts"))};
    import { readHubSettings } from ${JSON.stringify(built("hub/http/hub-settings.ts"))};
    const hubCache = ${JSON.stringify(hubCache)};
    const say = (line) => writeSync(1, line + "\\n");
    const onProgress = (event) => {
      if (event.kind === "bytes") say(String(event.doneBytes));
      ${onEvent}
    };
    const hub = readHubSettings(process.env);
    const { signal } = new AbortController();
    const options = { hubCache, modelDirs: [], profile: "large", hub, onProgress, signal };
    try {
      await pullModel(${JSON.stringify(ref)}, { ...options, limitRate: ${limitRate}, limits: ${JSON.stringify(own)} });
    } catch (error) {
      say(String(error.code));
      process.exitCode = 1;
    }
    say(readdirSync(${JSON.stringify(blobs())}).join(" "));
  `;
  const [file, ...args] = [...via, process.execPath, "--input-type=module", "-e", script];
  const child = spawn(file, args, {
    env: { PATH: process.env["PATH"], HOME: dir, HF_ENDPOINT: server.url, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines: string[] = [];
  const output = createInterface({ input: child.stdout });
  output.on("line", (line) => {
    lines.push(line);
    onLine?.(line, child);
  });
  const ended = Promise.all([once(child, "exit"), once(output, "close")]).then(([[code]]) => code as number | null);
  return { child, lines, ended };
}

describe("a pull that is killed", () => {
  test("at any of 20 bytes of 200 MB loses at most one range's worth", async () => {
    const large = makeContent(200_000_000, "large");
    publish({ [name]: large });
    let recordedBytes = 0;
    for (const [i, random] of randomNumbers(20, chooseSeed()).entries()) {
      const killAt = (i + random) * 9_500_000;
      const onLine = (line: string, child: ChildProcess) => Number(line) >= killAt && child.kill("SIGKILL");
      const { lines, ended } = startPull({ limitRate: 100e6, onLine });
      expect(await ended).toBeNull();
      expect(Number(lines[0])).toBeGreaterThanOrEqual(recordedBytes);
      const { haveBytes } = await readPlan();
      expect(Number(lines.at(-1)) - haveBytes).toBeLessThanOrEqual(standardLimits.rangeBytes);
      recordedBytes = haveBytes;
    }
    server.requests.length = 0;
    const { lines, ended } = startPull();
    expect(await ended).toBe(0);
    expect(lines[0]).toBe(String(recordedBytes));
    expect(askedBytes(large.length)).toBe(large.length - recordedBytes);
    expect(await readdir(blobs())).toEqual([sha256(large)]);
    expect(await hasBlob(large)).toBe(true);
  }, 600_000);
});

/** The ranges that a pull would find on disk. */
async function readPlan(): Promise<{ haveBytes: number }> {
  const plan = await planPull(single, makeOptions());
  return { haveBytes: (plan.kind === "fetch" ? plan.files[0]?.haveBytes : undefined) ?? 0 };
}

describe("two processes", () => {
  test("that pull the same model at once fetch each byte once", async () => {
    const shards = [1, 2, 3, 4].map((i) => `Large-Q4_0-0000${i}-of-00004.gguf`);
    const contents = shards.map((shard) => makeContent(40_000_000, shard));
    publish(Object.fromEntries(shards.map((shard, i) => [shard, contents[i] ?? content])));
    const ref = { hf, quant: "Q4_0" };
    const pulls = [startPull({ ref, limitRate: 100e6 }), startPull({ ref, limitRate: 100e6 })];
    expect(await Promise.all(pulls.map(({ ended }) => ended))).toEqual([0, 0]);
    expect(server.fetched()).not.toContain("whole");
    expect(askedBytes(0)).toBe(160_000_000);
    for (const each of contents) expect(await hasBlob(each)).toBe(true);
  });
});

describe("a disk", () => {
  const disk = makeContent(20_000_000, "disk");
  /** Another program that fills this much of the disk after the first bytes have arrived. */
  const fill = (sizeBytes: number) => `
    if (event.kind === "bytes" && event.doneBytes > 0 && !globalThis.isFilled) {
      globalThis.isFilled = true;
      try { writeFileSync(hubCache + "/other", Buffer.alloc(${sizeBytes})); } catch {}
    }
  `;

  beforeEach(async () => {
    publish({ [name]: disk });
    await mkdir(hubCache);
  });

  test("that fills up midway leaves no file under a final name", async () => {
    const { lines, ended } = startPull({ via: withSmallDisk(hubCache, "30m"), onEvent: fill(64e6) });
    expect(await ended).toBe(1);
    expect(lines.at(-2)).toBe("no-space");
    expect(lines.at(-1)).toBe(`${sha256(disk)}.llmctl.incomplete ${sha256(disk)}.llmctl.ranges`);
  });

  test("without enough room is noticed before it is full", async () => {
    const small = { connections: 2, files: 1, rangeBytes: 2_000_000, stepBytes: 100_000 };
    const { lines, ended } = startPull({ limits: small, via: withSmallDisk(hubCache, "30m"), onEvent: fill(15e6) });
    expect(await ended).toBe(1);
    expect(lines.at(-2)).toBe("no-space");
    // At most the ranges that were in flight.
    expect(Number(lines.at(-3))).toBeLessThanOrEqual(2 * small.rangeBytes);
  });
});

describe("a proxy", () => {
  test("carries the requests that HTTP_PROXY covers, and none that NO_PROXY excludes", async () => {
    const asked: string[] = [];
    const proxy = createServer((request, response) => {
      asked.push(request.url ?? "");
      const { pathname, search } = new URL(request.url ?? "");
      const headers = { "accept-encoding": request.headers["accept-encoding"] ?? "gzip" };
      void fetch(`${server.url}${pathname}${search}`, { redirect: "manual", headers }).then(async (answer) => {
        response.writeHead(answer.status, { ...Object.fromEntries(answer.headers), connection: "close" });
        response.end(Buffer.from(await answer.arrayBuffer()));
      });
    });
    proxy.listen(0, "127.0.0.1");
    await once(proxy, "listening");
    try {
      const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
      const { lines, ended } = startPull({
        env: { HF_ENDPOINT: "http://hub.invalid", HTTP_PROXY: address, NO_PROXY: "127.0.0.1" },
      });
      expect(await ended).toBe(0);
      expect(lines.at(-1)).toBe(sha256(content));
      expect(asked).toContain(`http://hub.invalid/${hf}/resolve/${commit}/${name}`);
      expect(asked.filter((url) => url.includes("/content/"))).toEqual([]);
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  });
});

/** `owner/repo:quant` of a small model on HF_ENDPOINT, for a run against a real Hub. */
const [realHf, realQuant] = process.env["LLMCTL_TEST_HUB_MODEL"]?.split(":") ?? [];

describe.runIf(realHf !== undefined)("a real Hub", () => {
  test("gives an intact model after the pull was killed and resumed", async () => {
    const ref = { hf: realHf ?? "", ...(realQuant === undefined ? {} : { quant: realQuant }) };
    const env = Object.fromEntries(
      ["HF_ENDPOINT", "HF_TOKEN"].flatMap((key) => (process.env[key] ? [[key, process.env[key]]] : [])),
    );
    const real = { ref, env: { HF_ENDPOINT: "https://huggingface.co", ...env } };
    const killed = startPull({ ...real, onLine: (line, child) => Number(line) > 5e6 && child.kill("SIGKILL") });
    expect(await killed.ended).toBeNull();
    expect(await startPull(real).ended).toBe(0);
  }, 600_000);
});
