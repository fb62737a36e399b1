import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { LlmctlError } from "../../src/base/errors.ts";
import { pullModel } from "../../src/hub/download/pull-model.ts";
import type { RemoteModelRef } from "../../src/profiles/schema/schema.ts";
import { buildGguf, modelKeys } from "../support/gguf-builder.ts";
import type { Fuzzer } from "./fuzzer.ts";
import { mutateBytes, mutateJson, mutateText, nasty } from "./mutate.ts";
import type { Random } from "./random.ts";

const content = buildGguf({ metadata: modelKeys(), tensors: [{ name: "token_embd.weight", ne: [16] }] });
const sha256 = createHash("sha256").update(content).digest("hex");
const commit = "c0ffee".padEnd(40, "0");
const names = ["m-Q4_K_M.gguf", "m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf", "config.json"];
/** The bytes that an answer without end sends before it gives up; the client must close the connection long before. */
const endlessBytes = 300e6;
/** Longer than all retries without waits between them. */
const hungMs = 60_000;

/**
 * Answers of a Hub or of a plain web server: a file gets its name only with the announced content, and no file is
 * written elsewhere.
 */
export const hubFuzzer: Fuzzer = {
  name: "hub",
  counts: { short: 300, full: 5000 },
  outcomes: ["pulled", "hub-bad-listing", "file-not-found"],
  open: async () => {
    let random: Random | undefined;
    const server = createServer((request, response) => answer(request, response, random as Random));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return {
      attempt: async (one: Random) => {
        random = one;
        const folder = await mkdtemp(join(tmpdir(), "llmctl-fuzz-"));
        try {
          const outcome = await pull(anyRef(one, endpoint), endpoint, folder);
          await expectHonest(folder);
          return outcome;
        } finally {
          server.closeAllConnections();
          await rm(folder, { recursive: true, force: true });
        }
      },
      [Symbol.asyncDispose]: async () => {
        server.closeAllConnections();
        server.close();
        await once(server, "close");
      },
    };
  },
};

function anyRef(random: Random, endpoint: string): RemoteModelRef {
  if (random.oneIn(5)) return { url: `${endpoint}/plain/m.gguf` };
  return random.oneIn(2)
    ? { hf: "o/n", quant: random.pick(["Q4_K_M", "Q8_0"]) }
    : { hf: "o/n", file: random.pick(names) };
}

async function pull(ref: RemoteModelRef, endpoint: string, folder: string): Promise<string> {
  const hung = AbortSignal.timeout(hungMs);
  try {
    await pullModel(ref, {
      hub: { endpoint, offline: false, token: "hf_secret" },
      hubCache: join(folder, "hub"),
      urlFolder: join(folder, "models"),
      lockFolder: join(folder, "locks"),
      modelDirs: [],
      profile: "p",
      signal: hung,
      stallTimeoutMs: 200,
      onProgress: () => undefined,
      wait: () => Promise.resolve(),
    });
    return "pulled";
  } catch (error) {
    if (hung.aborted) throw new Error("the pull has hung", { cause: error });
    if (error instanceof LlmctlError) return error.code;
    throw error;
  }
}

/** Checks that all files are in their folders, and that each file named by a digest has that digest. */
async function expectHonest(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const odd = (await readdir(folder)).filter((name) => !["hub", "models", "locks"].includes(name));
  if (odd.length > 0) throw new Error(`files outside of their folders: ${odd.join(", ")}`);
  for (const entry of entries) {
    if (!entry.isFile() || basename(entry.parentPath) !== "blobs" || !/^[0-9a-f]{64}$/.test(entry.name)) continue;
    const found = createHash("sha256")
      .update(await readFile(join(entry.parentPath, entry.name)))
      .digest("hex");
    if (found !== entry.name) throw new Error(`${entry.name} holds ${found}`);
  }
}

function answer(request: IncomingMessage, response: ServerResponse, random: Random): void {
  response.on("error", () => undefined); // the client may leave
  const path = request.url ?? "";
  if (random.oneIn(12)) return misbehave(response, random);
  if (path.includes("/revision/")) return sendJson(response, { _id: "1", id: "o/n", sha: commit }, random);
  if (path.includes("/tree/")) return sendJson(response, listing(random), random, pageLink(request, random));
  return sendContent(request, response, random);
}

/** Answers that are not valid. */
function misbehave(response: ServerResponse, random: Random): void {
  const statuses = [301, 302, 307, 400, 401, 403, 404, 416, 429, 500, 502, 503, 599];
  switch (random.below(6)) {
    case 0:
      return void response.socket?.destroy();
    case 1:
      return void response.socket?.end(
        mutateBytes(Buffer.from("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"), random),
      );
    case 2:
      return sendEndless(response);
    case 3:
      return; // never answers
    default: {
      const location = random.pick([
        "file:///etc/passwd",
        "/loop",
        "//[",
        "http://127.0.0.1:1/",
        "data:,x",
        "ftp://x/y",
        "https://",
        "",
      ]);
      const headers = {
        location,
        "retry-after": random.pick(["0", "1e9", "-5", "soon", "Thu, 01 Jan 1970 00:00:00 GMT"]),
      };
      response.writeHead(random.pick(statuses), {
        ...headers,
        "x-error-message": random.pick(["no", "\u00e9\u009b31m", "x".repeat(5000)]),
      });
      response.end(random.oneIn(2) ? "<!doctype html>" : JSON.stringify({ error: random.pick(nasty) }));
    }
  }
}

function sendEndless(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "application/json" });
  const chunk = Buffer.alloc(1 << 20, "[");
  let bytes = 0;
  const more = () => {
    while (bytes < endlessBytes && !response.destroyed) {
      bytes += chunk.length;
      if (!response.write(chunk)) return void response.once("drain", more);
    }
    response.end();
  };
  more();
}

function listing(random: Random): unknown[] {
  const files = names.map((path) => ({
    type: "file",
    path,
    size: content.length,
    oid: "a".repeat(40),
    lfs: { oid: sha256, size: content.length },
  }));
  const named = random.oneIn(4)
    ? files.map((file) => ({ ...file, path: random.oneIn(2) ? random.pick(nasty) : file.path }))
    : files;
  if (random.oneIn(20))
    return Array.from({ length: 1000 }, (_, i) => ({
      ...files[0],
      path: `s/m-Q4_K_M-${String(i + 1).padStart(5, "0")}-of-99999.gguf`,
    }));
  return named;
}

function pageLink({ url, headers }: IncomingMessage, random: Random): Record<string, string> {
  if (!random.oneIn(6)) return {};
  const next = random.pick([
    `http://${headers.host}${url}`,
    "file:///etc/passwd",
    "http://127.0.0.1:1/",
    "",
    "x".repeat(5000),
    `http://${headers.host}/next`,
  ]);
  return { link: `<${next}>; rel="next"` };
}

function sendJson(
  response: ServerResponse,
  value: unknown,
  random: Random,
  headers: Record<string, string> = {},
): void {
  const changed = random.oneIn(3) ? mutateJson(value, random) : value;
  const json = JSON.stringify(changed) ?? "";
  response
    .writeHead(200, { "content-type": "application/json", ...headers })
    .end(random.oneIn(8) ? mutateText(json, random) : json);
}

function sendContent({ headers }: IncomingMessage, response: ServerResponse, random: Random): void {
  const [, from = "0", to = String(content.length - 1)] = /bytes=(\d+)-(\d*)/.exec(headers.range ?? "") ?? [];
  const end = Math.min(Number(to === "" ? content.length - 1 : to), content.length - 1);
  const part = content.subarray(Number(from), end + 1);
  const body = random.oneIn(4) ? mutateBytes(part.length === 0 ? Buffer.from("x") : part, random) : part;
  const odd = (right: string) =>
    random.oneIn(12) ? random.pick(["", "-1", "x", "99999999999999999999", '"', "bytes 0-1/*"]) : right;
  response.writeHead(random.oneIn(12) ? 200 : headers.range === undefined ? 200 : 206, {
    "content-length": body.length,
    "content-range": odd(`bytes ${from}-${end}/${content.length}`),
    etag: odd('"e"'),
    "x-linked-etag": odd(`"${sha256}"`),
    "x-linked-size": odd(String(content.length)),
    "x-repo-commit": odd(commit),
  });
  response.end(body);
}
