import { spawn } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { checkHealth, prove } from "../src/llama/server-http.ts";
import { parseListening } from "../src/llama/server-protocol.ts";
import type { Endpoint, Launch } from "../src/supervisor/launch.ts";
import { DemoPair } from "./demo-pair.ts";
import { describe, judge, median } from "./measure.ts";

const runs = 25;

/** From the death of a server to the next one that is ready, without the backoff, beside a bare start of the same server. */
export async function benchRestart(): Promise<boolean> {
  await using pair = await DemoPair.prepare();
  const launch = await pair.plan();
  const bare: number[] = [];
  const restarted: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    bare.push(await timeBareStart(launch));
    restarted.push(await timeRestart(pair));
  }
  console.log(`crash to ready again, ${runs} runs of each in turns; both end with the answer to the proof request:`);
  console.log(`  bare start, from spawn: ${describe(bare)}`);
  console.log(`  under supervision, from SIGKILL, without the backoff: ${describe(restarted)}`);
  return judge({ what: "restart by bare start", value: median(restarted) / median(bare), limit: 1.1, unit: "" });
}

/** Asks as soon as the server says where it listens, until it is healthy, and then what the proof asks. */
async function timeBareStart(launch: Launch): Promise<number> {
  const startMs = performance.now();
  const server = spawn(launch.file, launch.args, { env: launch.env, cwd: launch.cwd, stdio: ["ignore", "ignore", "pipe"] });
  const exited = new Promise((resolve) => server.on("exit", resolve));
  const { signal } = new AbortController();
  for await (const line of createInterface({ input: server.stderr })) {
    const endpoint = parseListening(line);
    if (endpoint === undefined) continue;
    await untilHealthy(endpoint, signal);
    await prove(launch, endpoint, signal);
    break;
  }
  const endMs = performance.now();
  server.stderr.resume();
  server.kill("SIGKILL");
  await exited;
  return endMs - startMs;
}

async function untilHealthy(endpoint: Endpoint, signal: AbortSignal): Promise<void> {
  while ((await checkHealth(endpoint, 1000, signal)) !== "ready");
}

async function timeRestart(pair: DemoPair): Promise<number> {
  await pair.llmctl("up", "-d");
  const { pid } = JSON.parse(await pair.llmctl("status", "--json")) as { pid: number };
  const logPath = pair.home.join("state", DemoPair.profile, "supervisor.log");
  const before = (await readFile(logPath, "utf8")).length;
  const killedMs = Date.now();
  process.kill(pid, "SIGKILL");
  // Attaches, and returns when it is ready again.
  await pair.llmctl("up", "-d");
  const events = (await readFile(logPath, "utf8")).slice(before).split("\n");
  await pair.llmctl("down");
  await rm(logPath);
  const [backoffMs, againMs, readyMs] = ["backoff", "preflight", "ready"].map((state) =>
    Date.parse(events.find((line) => line.split(" ")[2] === state)?.split(" ", 1)[0] ?? ""),
  ) as [number, number, number];
  return backoffMs - killedMs + (readyMs - againMs);
}
