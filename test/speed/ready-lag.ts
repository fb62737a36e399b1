import { fork } from "node:child_process";
import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import getPort from "get-port";
import { DemoPair } from "./demo-pair.ts";
import { describe, judge, median } from "./measure.ts";

const runs = 25;
const poller = fileURLToPath(new URL("poll-health.ts", import.meta.url));

/** The delay of llmctl's event "server is up" after the first `/health` 200 of an independent poller. */
export async function benchReadyLag(): Promise<boolean> {
  await using pair = await DemoPair.prepare();
  const lagsMs: number[] = [];
  const proofsMs: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const { lagMs, proofMs } = await startOnce(pair);
    lagsMs.push(lagMs);
    proofsMs.push(proofMs);
  }
  console.log(`ready lag, ${runs} starts of the demo pair; both clocks count whole milliseconds:`);
  console.log(`  from the poller's first 200 to "server is up": ${describe(lagsMs)}`);
  console.log(`  the proof request after it: ${describe(proofsMs)}`);
  return judge({ what: "median lag", value: median(lagsMs), limit: 15, unit: " ms" });
}

async function startOnce(pair: DemoPair): Promise<{ lagMs: number; proofMs: number }> {
  const port = await getPort({ host: "127.0.0.1" });
  await pair.configure({ server: { port } });
  const child = fork(poller, [String(port)]);
  await once(child, "message");
  const seen = once(child, "message");
  await pair.llmctl("up", "-d");
  const [seenMs] = (await seen) as [number];
  const logPath = pair.home.join("state", DemoPair.profile, "supervisor.log");
  const log = await readFile(logPath, "utf8");
  await pair.llmctl("down");
  await rm(logPath);
  const upMs = readTime(log, "server is up");
  return { lagMs: upMs - seenMs, proofMs: readTime(log, "ready on") - upMs };
}

/** The time at which the supervisor logged an event, in milliseconds since 1970. */
function readTime(log: string, message: string): number {
  const line = log.split("\n").find((text) => text.includes(` ${message}`));
  return Date.parse(line?.split(" ", 1)[0] ?? "");
}
