import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { requestStop } from "../../src/control/client.ts";
import { formatUrl } from "../../src/supervisor/child/endpoint.ts";
import type { Launch } from "../../src/supervisor/launch.ts";
import { parseListening } from "../../src/llama/server/server-protocol.ts";
import { DemoPair } from "./demo-pair.ts";
import { describe, judge, median, program, timeNode } from "./measure.ts";

const runs = 25;

/** `llmctl down`, compared with the time that the same server takes to exit after SIGTERM without llmctl. */
export async function benchDown(): Promise<boolean> {
  await using pair = await DemoPair.prepare();
  const launch = await pair.plan();
  const server: number[] = [];
  const node: number[] = [];
  const command: number[] = [];
  const request: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    server.push(await timeServerExit(launch));
    node.push(timeNode(["-e", "0"], pair.env));
    await pair.llmctl("up", "-d");
    command.push(timeNode([program, "down", DemoPair.profile], pair.env));
    await pair.llmctl("up", "-d");
    request.push(await timeRequest(pair));
  }
  console.log(`llmctl down, ${runs} runs of each in turns:`);
  console.log(`  llama-server alone, from SIGTERM to its end: ${describe(server)}`);
  console.log(`  llmctl down, the whole command: ${describe(command)}; node -e 0: ${describe(node)}`);
  console.log(`  the supervisor's part, from the request on its socket to its answer: ${describe(request)}`);
  return judge({
    what: "the whole command, without the exit of the server and a bare start of Node",
    value: median(command) - median(server) - median(node),
    limit: 50,
    unit: " ms",
  });
}

/** The cost of `down` in a running process. */
async function timeRequest(pair: DemoPair): Promise<number> {
  const startMs = performance.now();
  await requestStop(pair.home.join("run", `${DemoPair.profile}.sock`), false);
  return performance.now() - startMs;
}

async function timeServerExit({ file, args, env, cwd }: Launch): Promise<number> {
  const server = spawn(file, args, { env, cwd, stdio: ["ignore", "ignore", "pipe"] });
  for await (const line of createInterface({ input: server.stderr })) {
    const endpoint = parseListening(line);
    if (endpoint === undefined) continue;
    await untilAtWork(formatUrl(endpoint, "http"));
    break;
  }
  server.stderr.resume();
  const exited = once(server, "exit");
  const startMs = performance.now();
  server.kill("SIGTERM");
  await exited;
  return performance.now() - startMs;
}

/** `/slots` is answered by the main loop: a SIGTERM before the loop has begun is lost. */
async function untilAtWork(url: string): Promise<void> {
  for (;;) {
    const response = await fetch(`${url}/slots`, { headers: { connection: "close" } });
    await response.arrayBuffer();
    if (response.ok) return;
  }
}
