import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { bundleSources } from "../support/bundle-sources.ts";
import { buildGlmSized, glm } from "../support/glm-sized.ts";
import { sha256, startHubServer } from "../support/hub-server.ts";
import { judge, median, program } from "./measure.ts";

const runs = 7;

/**
 * The draft gate on two synthesised files as large as a GLM pair, compared with `@huggingface/gguf`, which parses the
 * same files without comparing them; and the bytes that the gate reads of files on a server.
 */
export async function benchGate(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "llmctl-bench-"));
  try {
    const models = [buildGlmSized(92), buildGlmSized(46)] as const;
    const pair = [join(folder, "target.gguf"), join(folder, "draft.gguf")] as const;
    await Promise.all(pair.map((path, index) => writeFile(path, models[index] ?? "")));
    const modules = join(folder, "modules");
    await bundleSources(["gguf/read-model.ts", "llama/draft/draft-gate.ts"], modules);
    const verdicts = [...(await judgeSpeed(modules, pair)), await judgeReading(models, folder)];
    return verdicts.every(Boolean);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function judgeSpeed(modules: string, pair: readonly [string, string]): Promise<boolean[]> {
  const empty = await measureEmptyNode();
  const results: { gate: GateRun; parser: GateRun }[] = [];
  // In turns, so that other load of the machine affects both alike.
  for (let run = 0; run < runs; run += 1)
    results.push({
      gate: await runChild(gateScript, modules, pair),
      parser: await runChild(parserScript, parser, pair),
    });
  const middle = (read: (run: { gate: GateRun; parser: GateRun }) => number) => median(results.map(read));
  const show = (name: "gate" | "parser") => {
    const [cold, warm] = [middle((run) => run[name].coldMs), middle((run) => run[name].warmMs)];
    return `${cold.toFixed(1)} ms, once compiled ${warm.toFixed(1)} ms`;
  };
  console.log(
    `draft gate, ${glm.tokens} tokens and ${glm.merges} merges in each of two files, median of ${runs} processes:`,
  );
  console.log(`  the gate, both reads included: ${show("gate")}`);
  console.log(`  @huggingface/gguf, parsing only: ${show("parser")}`);
  return [
    judge({
      what: "the gate's part of that",
      value: middle((run) => run.gate.coldMs / run.parser.coldMs),
      limit: 1 / 60,
      unit: "",
    }),
    judge({
      what: "the gate's part of that, once compiled",
      value: middle((run) => run.gate.warmMs / run.parser.warmMs),
      limit: 1 / 60,
      unit: "",
    }),
    judge({
      what: "memory above node -e 0, the highest",
      value: Math.max(...results.map(({ gate }) => gate.rssMb)) - empty,
      limit: 60,
      unit: " MB",
    }),
  ];
}

/** `llmctl check TARGET DRAFT` of the same two models on a server of this machine. */
async function judgeReading([target, draft]: readonly [Buffer, Buffer], home: string): Promise<boolean> {
  const server = await startHubServer();
  try {
    const files = { "Target-Q2_K.gguf": { content: target }, "Draft-Q4_K.gguf": { content: draft } };
    server.repos.set("glm/Pair-GGUF", { commit: sha256(target).slice(0, 40), files });
    const args = [program, "check", "hf:glm/Pair-GGUF:Q2_K", "hf:glm/Pair-GGUF:Q4_K", "--json"];
    const env = {
      PATH: process.env["PATH"],
      LLMCTL_HOME: home,
      HF_HUB_CACHE: join(home, "hub"),
      HF_ENDPOINT: server.url,
    };
    const { stdout } = await promisify(execFile)(process.execPath, args, { env });
    const { verdict, target: one, draft: other } = JSON.parse(stdout) as RemoteJudgement;
    if (verdict !== "on") throw new Error(`the gate says "${verdict}"`);
    return judge({
      what: "read over HTTP, the larger header",
      value: Math.max(one.bytesRead, other.bytesRead) / 1e6,
      limit: 12,
      unit: " MB",
    });
  } finally {
    await server.close();
  }
}

interface RemoteJudgement {
  readonly verdict: string;
  readonly target: { readonly bytesRead: number };
  readonly draft: { readonly bytesRead: number };
}

interface GateRun {
  readonly coldMs: number;
  readonly warmMs: number;
  readonly rssMb: number;
}

/** Measures `once` in a separate process, first cold, then repeatedly, and prints a {@link GateRun}. */
const timing = `
  const { readFileSync } = await import("node:fs");
  async function time() {
    const start = performance.now();
    await once();
    return performance.now() - start;
  }
  const coldMs = await time();
  const peak = /VmHWM:\\s+(\\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))[1];
  const warm = [];
  for (let run = 0; run < again; run += 1) warm.push(await time());
  const warmMs = warm.sort((a, b) => a - b)[again >> 1];
  console.log(JSON.stringify({ coldMs, warmMs, rssMb: (Number(peak) * 1024) / 1e6 }));
`;

/** The gate, bundled as the program is. */
const gateScript = `
  const [folder, target, draft] = process.argv.slice(1);
  const { readModel } = await import(folder + "/gguf-read-model.mjs");
  const { decideDraft } = await import(folder + "/llama-draft-draft-gate.mjs");
  const again = 9;
  async function once() {
    const models = await Promise.all([readModel(target), readModel(draft)]);
    const verdict = decideDraft({ target: models[0], draft: models[1], type: "draft-simple", rule: "strict" });
    if (verdict.verdict !== "on") throw new Error(verdict.reason);
  }
  ${timing}
`;

const parser = import.meta.resolve("@huggingface/gguf");

/** The other parser, without a comparison. */
const parserScript = `
  const [parser, target, draft] = process.argv.slice(1);
  const { gguf } = await import(parser);
  const again = 1;
  const once = () => Promise.all([target, draft].map((file) => gguf(file, { allowLocalFile: true })));
  ${timing}
`;

async function runChild(script: string, module: string, pair: readonly [string, string]): Promise<GateRun> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--input-type=module",
    "-e",
    script,
    module,
    ...pair,
  ]);
  return JSON.parse(stdout) as GateRun;
}

/**
 * Peak memory of an empty Node process. `resourceUsage` is wrong for this: Linux includes the parent's memory at the
 * fork.
 */
async function measureEmptyNode(): Promise<number> {
  const print = 'console.log(/VmHWM:\\s+(\\d+) kB/.exec(require("fs").readFileSync("/proc/self/status", "utf8"))[1])';
  const { stdout } = await promisify(execFile)(process.execPath, ["-e", print]);
  return (Number(stdout) * 1024) / 1e6;
}
