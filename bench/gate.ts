import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { buildGlmSized, glm } from "../test/support/glm-sized.ts";

const runs = 7;

interface GateTimes {
  /** Both reads and the decision, in a fresh process; the median of several. */
  readonly coldMs: number;
  /** The same once the code is compiled. */
  readonly warmMs: number;
  /** Resident memory above that of an empty Node process, the largest of all runs. */
  readonly rssMb: number;
  /** How many times as long `@huggingface/gguf` takes to parse the same two files, each in a fresh process; the median of several. */
  readonly coldRatio: number;
  readonly warmRatio: number;
}

/**
 * Times the gate on two synthesised files as large as a GLM pair, each run in its own process, and prints the result.
 * @param dist The compiled program.
 */
export async function benchGate(dist = fileURLToPath(new URL("../dist", import.meta.url))): Promise<GateTimes> {
  const folder = await mkdtemp(join(tmpdir(), "llmctl-bench-"));
  try {
    const pair = [join(folder, "target.gguf"), join(folder, "draft.gguf")] as const;
    await writeFile(pair[0], buildGlmSized(92));
    await writeFile(pair[1], buildGlmSized(46));
    const empty = await measureEmptyNode();
    const results: { gate: GateRun; parser: GateRun }[] = [];
    // In turns, so that whatever else the machine does falls on both.
    for (let run = 0; run < runs; run += 1)
      results.push({ gate: await runChild(gateScript, dist, pair), parser: await runChild(parserScript, parser, pair) });
    const times = {
      coldMs: median(results.map(({ gate }) => gate.coldMs)),
      warmMs: median(results.map(({ gate }) => gate.warmMs)),
      rssMb: Math.max(...results.map(({ gate }) => gate.rssMb)) - empty,
      coldRatio: median(results.map((run) => run.parser.coldMs / run.gate.coldMs)),
      warmRatio: median(results.map((run) => run.parser.warmMs / run.gate.warmMs)),
    };
    console.log(`draft gate, ${glm.tokens} tokens and ${glm.merges} merges in each of two files, median of ${runs} processes:`);
    console.log(
      `  first time ${times.coldMs.toFixed(1)} ms, compiled ${times.warmMs.toFixed(1)} ms, ${times.rssMb.toFixed(1)} MB above node -e 0`,
    );
    const [cold, warm] = [median(results.map((run) => run.parser.coldMs)), median(results.map((run) => run.parser.warmMs))];
    console.log(
      `  @huggingface/gguf parses the same files in ${cold.toFixed(0)} ms, ${times.coldRatio.toFixed(0)} times as long (compiled ${warm.toFixed(0)} ms, ${times.warmRatio.toFixed(0)} times)`,
    );
    return times;
  } finally {
    await rm(folder, { recursive: true });
  }
}

interface GateRun {
  readonly coldMs: number;
  readonly warmMs: number;
  readonly rssMb: number;
}

/** Times what is done once, then again and again, and prints a {@link GateRun}. It runs in a process of its own. */
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
  console.log(JSON.stringify({ coldMs, warmMs: warm.sort((a, b) => a - b)[again >> 1], rssMb: (Number(peak) * 1024) / 1e6 }));
`;

/** The gate, from the compiled program. */
const gateScript = `
  const [dist, target, draft] = process.argv.slice(1);
  const { readModel } = await import(dist + "/gguf/read-model.js");
  const { decideDraft } = await import(dist + "/llama/draft-gate.js");
  const again = 9;
  async function once() {
    const models = await Promise.all([readModel(target), readModel(draft)]);
    const verdict = decideDraft({ target: models[0], draft: models[1], type: "draft-simple", rule: "strict" });
    if (verdict.verdict !== "on") throw new Error(verdict.reason);
  }
  ${timing}
`;

const parser = import.meta.resolve("@huggingface/gguf");

/** Another parser, which does not compare anything. */
const parserScript = `
  const [parser, target, draft] = process.argv.slice(1);
  const { gguf } = await import(parser);
  const again = 1;
  const once = () => Promise.all([target, draft].map((file) => gguf(file, { allowLocalFile: true })));
  ${timing}
`;

async function runChild(script: string, module: string, pair: readonly [string, string]): Promise<GateRun> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script, module, ...pair]);
  return JSON.parse(stdout) as GateRun;
}

/** Peak memory of a Node process that does nothing. `resourceUsage` will not do: Linux counts the parent's memory at the fork. */
async function measureEmptyNode(): Promise<number> {
  const print = 'console.log(/VmHWM:\\s+(\\d+) kB/.exec(require("fs").readFileSync("/proc/self/status", "utf8"))[1])';
  const { stdout } = await promisify(execFile)(process.execPath, ["-e", print]);
  return (Number(stdout) * 1024) / 1e6;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await benchGate();
