import { appendFileSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdir, truncate } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pathToFileURL } from "node:url";

/*
 * `hostile-input-child.ts FOLDER NAME`: makes the input NAME in FOLDER, gives it to its reader, and prints the
 * cost. The reader is loaded before the measurement.
 */
const src = pathToFileURL(`${join(import.meta.dirname, "../../src")}/`);
const [folder = "", wanted = ""] = process.argv.slice(2);

/* eslint-disable-next-line @typescript-eslint/no-explicit-any */
type Module = Record<string, (...args: any[]) => any>;
const load = async (path: string) => (await import(new URL(path, src).href)) as Module;

/** Makes an input. @returns its reader. */
type Case = () => Promise<() => unknown>;

const mib = 2 ** 20;

// --- GGUF: written in pieces, since a header in memory would count as the reader's memory.

const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value: number) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const text = (value: string) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

function writeGguf(
  name: string,
  { tensors = 0, keys = 0 }: { tensors?: number; keys?: number },
  pieces: readonly Buffer[],
): string {
  const path = join(folder, name);
  writeFileSync(path, Buffer.concat([Buffer.from("GGUF"), u32(3), u64(tensors), u64(keys), ...pieces]));
  return path;
}

const arrayKey = (key: string, type: number, count: number) =>
  Buffer.concat([text(key), u32(9), u32(type), u64(count)]);

function gguf(make: () => string): Case {
  return async () => {
    const { readModel } = await load("gguf/read-model.ts");
    const { readModelFacts } = await load("gguf/model-facts.ts");
    const { decideDraft } = await load("llama/draft/draft-gate.ts");
    const path = make();
    return async () => {
      const model: unknown = await readModel?.(path);
      readModelFacts?.(model);
      decideDraft?.({ target: model, draft: model, type: "draft-simple", rule: "strict" });
    };
  };
}

const headerBytes = 65 * mib;
const vocabulary = (count: number, each: Buffer) =>
  writeGguf("vocabulary.gguf", { keys: 2 }, [
    text("tokenizer.ggml.model"),
    u32(8),
    text("gpt2"),
    arrayKey("tokenizer.ggml.tokens", 8, count),
    Buffer.alloc(count * each.length, each),
  ]);

// --- Lines, names and JSON.

const pad = (number: number) => String(number).padStart(5, "0");

function hubAnswer(page: (index: number) => { readonly body: string; readonly link?: string }): Case {
  return async () => {
    const { listModel } = await load("hub/find/list-model.ts");
    let index = 0;
    const signal = new AbortController().signal;
    const fetch = async (url: string) => {
      const { body, link } = url.includes("/tree/")
        ? page(index++)
        : { body: JSON.stringify({ sha: "a".repeat(40) }), link: undefined };
      const headers = new Headers(
        link === undefined ? {} : { link: `<https://hub.example/api/models/o/r/tree/x?c=${link}>; rel="next"` },
      );
      return { status: 200, ok: true, url, headers, body: Readable.from([Buffer.from(body)]) };
    };
    const connection = { endpoint: "https://hub.example", signal, stallTimeoutMs: 1000, fetch };
    return () =>
      listModel?.({ hf: "o/r", quant: "Q4_K_M" }, connection, { signal, wait: async () => {}, onRetry: () => {} });
  };
}

function names(make: () => readonly string[]): Case {
  return async () => {
    const { selectFiles } = await load("hub/find/select-files.ts");
    const all = make();
    return () => selectFiles?.(all, { hf: "owner/repo", quant: "Q4_K_M" });
  };
}

function help(make: () => string): Case {
  return async () => {
    const { parseHelp } = await load("llama/ask/help-text.ts");
    const all = make();
    return () => parseHelp?.(all);
  };
}

function profile(make: () => string, env: Readonly<Record<string, string>> = {}): Case {
  return async () => {
    const { resolveProfile } = await load("profiles/load.ts");
    const path = join(folder, "p.yaml");
    writeFileSync(path, make());
    return () => resolveProfile?.(path, { folders: [folder], env: { HOME: folder, ...env }, cwd: folder });
  };
}

function traffic(make: () => string): Case {
  return async () => {
    const { ServerLog } = (await load("supervisor/log/server-log.ts")) as unknown as {
      ServerLog: new (path: string, limits: object) => { path: string };
    };
    const { ServerLogReader } = (await load("supervisor/log/server-log-reader.ts")) as unknown as {
      ServerLogReader: new (log: unknown) => { read: (mostBytes: number) => Iterable<string> };
    };
    const { parseTraffic } = await load("llama/traffic/traffic-lines.ts");
    const { parseLoadLine } = await load("llama/server/server-protocol.ts");
    const { explainExit } = await load("llama/server/exit-cause.ts");
    const log = new ServerLog(join(folder, "server.log"), { maxBytes: 1 << 30, keep: 1 });
    const follower = new ServerLogReader(log);
    writeFileSync(log.path, make());
    return () => {
      const lines: string[] = [];
      for (const line of follower.read(mib)) {
        parseTraffic?.(line);
        parseLoadLine?.(line);
        lines.push(line);
      }
      explainExit?.({ name: "p", code: 1, signal: null, lastLines: lines.slice(-20), oomKills: 0, wasReady: true });
    };
  };
}

/** The cost of the child itself, including its loader of TypeScript. */
const nothing: Case = async () => () => undefined;

const helpColumn = " ".repeat(40);
const cases: Readonly<Record<string, Case>> = {
  "GGUF: one text of 65 MiB": gguf(() =>
    writeGguf("text.gguf", { keys: 1 }, [
      text("general.name"),
      u32(8),
      u64(headerBytes),
      Buffer.alloc(headerBytes, "x"),
    ]),
  ),
  "GGUF: texts of 1 MiB each": gguf(() =>
    writeGguf(
      "texts.gguf",
      { keys: 64 },
      Array.from({ length: 64 }, (_, i) =>
        Buffer.concat([text(`k${i}`), u32(8), u64(mib), Buffer.from("ā"), Buffer.alloc(mib - 2, "x")]),
      ),
    ),
  ),
  "GGUF: keys of 65,535 bytes": gguf(() =>
    writeGguf(
      "keys.gguf",
      { keys: 1000 },
      Array.from({ length: 1000 }, (_, i) =>
        Buffer.concat([text(`${i}`.padEnd(65_535, "x")), u32(0), Buffer.alloc(1)]),
      ),
    ),
  ),
  "GGUF: 16,384 keys of empty arrays": gguf(() =>
    writeGguf(
      "many-keys.gguf",
      { keys: 16_384 },
      Array.from({ length: 16_384 }, (_, i) => arrayKey(`k${i}`, 8, 0)),
    ),
  ),
  "GGUF: 65,536 tensors with long names": gguf(() =>
    writeGguf(
      "tensors.gguf",
      { tensors: 65_536 },
      Array.from({ length: 65_536 }, (_, i) =>
        Buffer.concat([text(`${i}`.padEnd(110, "x")), u32(0), u32(200), u64(0)]),
      ),
    ),
  ),
  "GGUF: 2,000,000 empty tokens": gguf(() => vocabulary(2_000_000, u64(0))),
  "GGUF: 2,000,001 empty tokens": gguf(() => vocabulary(2_000_001, u64(0))),
  "GGUF: 1,999,000 tokens as long as a known one": gguf(() => {
    const path = vocabulary(1_999_000, text("<|im_enx|>"));
    const bytes = readFileSync(path);
    bytes.write("<|im_end|>", bytes.length - 10);
    writeFileSync(path, bytes);
    return path;
  }),
  "GGUF: 5,600,000 empty arrays in an array": gguf(() =>
    writeGguf("nested.gguf", { keys: 1 }, [arrayKey("k", 9, 5_600_000), Buffer.alloc(5_600_000 * 12)]),
  ),
  "GGUF: a header of 120 MB": gguf(() =>
    writeGguf("large.gguf", { keys: 1 }, [
      arrayKey("tokenizer.ggml.tokens", 8, 1_000_000),
      Buffer.alloc(1_000_000 * 120, text("x".repeat(112))),
    ]),
  ),
  "shards: 4,096 on disk": async () => {
    const { readModel } = await load("gguf/read-model.ts");
    const shard = (i: number) =>
      writeGguf(`a-${pad(i + 1)}-of-04096.gguf`, { keys: 2 }, [
        text("split.no"),
        u32(4),
        u32(i),
        text("split.count"),
        u32(4),
        u32(4096),
      ]);
    const paths = Array.from({ length: 4096 }, (_, i) => shard(i));
    return () => readModel?.(paths[0]);
  },
  "shards: 50,000 first ones of 99,999": names(() =>
    Array.from({ length: 50_000 }, (_, i) => `a${i}-Q4_K_M-00001-of-99999.gguf`),
  ),
  "shards: one complete set of 99,999": names(() =>
    Array.from({ length: 99_999 }, (_, i) => `a-Q4_K_M-${pad(i + 1)}-of-99999.gguf`),
  ),
  "shards: one complete set of 4,096": names(() =>
    Array.from({ length: 4096 }, (_, i) => `a-Q4_K_M-${pad(i + 1)}-of-04096.gguf`),
  ),
  "names: 50,000 of 255 characters that end in quants": names(() =>
    Array.from({ length: 50_000 }, (_, i) => `${i}${"_Q1".repeat(80)}-.gguf`),
  ),
  "folder: links in a circle": async () => {
    const { scanUrlFolder } = await load("hub/keep/scan-cache.ts");
    const circle = join(folder, "circle");
    await mkdir(circle);
    for (const name of ["a", "b", "c"]) symlinkSync(".", join(circle, name));
    return () => scanUrlFolder?.(circle);
  },
  "Hub: a body of 8 MiB of lists": hubAnswer(() => ({ body: `[${"[],".repeat(2_700_000)}[]]` })),
  "Hub: a body of 8 MiB, as many values as there may be": hubAnswer(() => ({
    body: `[${'{"a":1},'.repeat(190_000)}{}]`,
  })),
  "Hub: a body that nests": hubAnswer(() => ({ body: "[".repeat(8 * mib - 1) })),
  "Hub: a body beyond the limit": hubAnswer(() => ({ body: " ".repeat(9 * mib) })),
  "Hub: pages without end": hubAnswer((index) => ({ body: "[]", link: String(index) })),
  "Hub: 50,000 files in 50 pages": hubAnswer((index) => ({
    body: JSON.stringify(
      Array.from({ length: 1000 }, (_, i) => ({
        type: "file",
        path: `${index}-${i}-${"x".repeat(200)}.gguf`,
        size: 5,
        oid: "b".repeat(40),
      })),
    ),
    ...(index < 49 ? { link: String(index) } : {}),
  })),
  "help: 1 MiB of <a": help(() => `--model X\n${`--a ${"<a ".repeat(5300)}\n`.repeat(65)}`),
  "help: 300 kB of <a on one line": help(() => `--model X\n-a ${"<a ".repeat(100_000)}`),
  "help: 1 MiB of defaults": help(
    () => `--model X\n${`--a X\n${helpColumn}${"default: ".repeat(1700)}\u2028\n`.repeat(64)}`,
  ),
  "help: 4,000 options": help(() => `--model X\n${`--a, -b, --no-c <a|b> ${"x".repeat(200)}\n`.repeat(3900)}`),
  "devices: 1 MB of colons on a line": async () => {
    const { parseDevices } = await load("llama/ask/devices.ts");
    const all = `  ${"a: ".repeat(333_000)}`;
    return () => parseDevices?.(all);
  },
  "YAML: 1 MiB of flow maps": profile(() => `args: [${"{a: 1}, ".repeat(131_000)}]`),
  "YAML: 1 MiB that nests": profile(() => "{".repeat(mib - 10)),
  "YAML: aliases of aliases": profile(() => {
    const lists = Array.from("abcdefghi", (from, i) => `k${i}: &${"bcdefghij"[i]} [${`*${from},`.repeat(9)}]`);
    return `a: &a [x,x,x,x,x,x,x,x,x]\n${lists.join("\n")}`;
  }),
  "YAML: aliases of a text of 400 kB": profile(
    () => `description: &a "${"x".repeat(400_000)}"\nargs: [${"*a, ".repeat(9000)}]`,
  ),
  "YAML: 9,000 unknown keys": profile(() => Array.from({ length: 9000 }, (_, i) => `ctx_sise${i}: 1`).join("\n")),
  "YAML: a host of slashes": profile(() => `model: m\nserver: { host: "${"/".repeat(900_000)}a" }`),
  "YAML: a variable named 100,000 times": profile(() => `model: m\nargs: ["${"${env:A}".repeat(100_000)}"]`, {
    A: "x".repeat(100_000),
  }),
  "YAML: a million blank lines, edited": async () => {
    const { setInYaml } = await load("profiles/yaml/edit-yaml.ts");
    const { makeSource } = await load("profiles/yaml/located.ts");
    const all = `model: m\n${"\n".repeat(mib - 100)}ctx_size: 1\n`;
    const source: unknown = makeSource?.("p", join(folder, "p.yaml"), folder);
    return () => setInYaml?.(all, ["ctx_size"], 5, source);
  },
  "log: 1 MiB of one line": traffic(() => "listening on unix:///".repeat(50_000)),
  "log: 1 MiB of eval times": traffic(() => "eval time = 1.5 ms / 6 ".repeat(45_000)),
  "log: 1 MiB of half addresses": traffic(() =>
    `${"couldn't bind HTTP server socket, hostname: ".repeat(90)}\n`.repeat(260),
  ),
  "part record of 32 MiB": async () => {
    const { readRecord } = await load("hub/download/part-record.ts");
    const path = join(folder, "blob");
    // Small pieces: memory that is allocated here would count as the reader's.
    const lines = Buffer.from(Array.from({ length: 9000 }, (_, i) => `${2 * i} ${2 * i + 1}\n`).join(""));
    for (let bytes = 0; bytes + lines.length < 32 * mib; bytes += lines.length)
      appendFileSync(`${path}.llmctl.ranges`, lines);
    return () => readRecord?.(path, 2 ** 40);
  },
  "state: JSON of 1 MiB": async () => {
    const { readState } = await load("supervisor/state/state-file.ts");
    await mkdir(join(folder, "p"));
    writeFileSync(join(folder, "p", "state.json"), `[${"[],".repeat(349_000)}[]]`);
    return () => readState?.(folder, "p");
  },
  "cache: an answer of 4 GiB": async () => {
    const { readAnswer } = await load("base/files/answer-cache.ts");
    const path = join(folder, "answer.json");
    writeFileSync(path, "");
    await truncate(path, 4 * 1024 * mib);
    return () => readAnswer?.(path, () => true);
  },
};

/** Resets the peak. */
function forgetPeak(): void {
  writeFileSync("/proc/self/clear_refs", "5");
}

function peakMb(): number {
  return (Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024) / 1e6;
}

async function measure(prepare: Case): Promise<object> {
  const read = await prepare();
  globalThis.gc?.();
  forgetPeak();
  const before = process.cpuUsage();
  let outcome = "read";
  try {
    await read();
  } catch (error) {
    outcome =
      error instanceof Error && "exit" in error && "code" in error ? String(error.code) : `UNTYPED ${String(error)}`;
  }
  const { user, system } = process.cpuUsage(before);
  if (outcome.startsWith("UNTYPED")) throw new Error(outcome);
  return { seconds: (user + system) / 1e6, rssMb: peakMb(), outcome };
}

const found = wanted === "--nothing" ? nothing : cases[wanted];
if (wanted === "--list") console.log(Object.keys(cases).join("\n"));
else if (found === undefined) throw new Error(`there is no input "${wanted}"`);
else console.log(JSON.stringify(await measure(found)));
