import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { followEvents } from "../../src/control/client.ts";
import type { StateName, StatusEvent } from "../../src/control/messages.ts";
import { checkHealth, prove } from "../../src/llama/server/server-http.ts";
import { parseListening } from "../../src/llama/server/server-protocol.ts";
import type { Endpoint, Launch } from "../../src/supervisor/launch.ts";
import { DemoPair } from "./demo-pair.ts";
import { describe, judge, median } from "./measure.ts";

/** Times in milliseconds. */
interface BareStart {
  /** From the spawn to the first healthy answer. */
  readonly upMs: number;
  /** The proof request after it. */
  readonly proofMs: number;
  /** From a SIGKILL to the exit event in a parent that does nothing else: the kernel's part. */
  readonly endMs: number;
}

interface Restart extends BareStart {
  /** From the end of the backoff to the decision to spawn. */
  readonly preflightMs: number;
  /** From SIGKILL to ready, without the announced backoff. */
  readonly totalMs: number;
}

/** The time of a step without llmctl, if there is such a step, and under supervision. */
type Row = readonly [what: string, bareMs: readonly number[] | undefined, supervisedMs: readonly number[]];

/**
 * From the death of a server to the next ready one, without the backoff, compared with a start of the same server
 * without llmctl. No process is killed before such a start, so the kernel's time to end one, measured by a parent that
 * does nothing else, is reported separately: the rest must be within the limit.
 */
export async function benchRestart(runs: number): Promise<boolean> {
  await using pair = await DemoPair.prepare();
  // A delay below a second is announced in milliseconds.
  await pair.configure({ restart: { backoff: "500ms" } });
  const launch = await pair.plan();
  const bare: BareStart[] = [];
  const restarts: Restart[] = [];
  for (let run = 0; run < runs; run += 1) {
    bare.push(await timeBareStart(launch));
    restarts.push(await timeRestart(pair));
  }
  return report(bare, restarts);
}

function report(bare: readonly BareStart[], restarts: readonly Restart[]): boolean {
  const endMs = bare.map((start) => start.endMs);
  const bareMs = bare.map(({ upMs, proofMs }) => upMs + proofMs);
  const restartMs = restarts.map(({ totalMs }) => totalMs);
  const rows: readonly Row[] = [
    ["the kernel: SIGKILL to the exit that the parent sees", endMs, restarts.map((restart) => restart.endMs)],
    ["ours: end of the backoff to the decision to spawn", undefined, restarts.map(({ preflightMs }) => preflightMs)],
    ["the server: spawn, with our guard, to healthy", bare.map(({ upMs }) => upMs), restarts.map(({ upMs }) => upMs)],
    [
      "the server: healthy to the proof's answer",
      bare.map(({ proofMs }) => proofMs),
      restarts.map(({ proofMs }) => proofMs),
    ],
    ["all: a bare start | a crash to ready, without the backoff", bareMs, restartMs],
  ];
  console.log(
    `crash to ready again, ${bare.length} runs of each in turns, bare | under supervision, whose clock ` +
      "counts whole milliseconds:",
  );
  for (const [what, ...columns] of rows) {
    console.log(`  ${what}: ${columns.map((column) => (column === undefined ? "-" : describe(column))).join(" | ")}`);
  }
  const rest = (median(restartMs) - median(endMs)) / median(bareMs);
  console.log(
    `  the same ratio without the kernel's part: ${rest.toFixed(2)}; a run of 25 tells no difference of 0.1 from noise`,
  );
  return judge({ what: "restart by bare start", value: median(restartMs) / median(bareMs), limit: 1.1, unit: "" });
}

/** Requests health from the server's first address line on, until it is healthy, then the proof request. */
async function timeBareStart(launch: Launch): Promise<BareStart> {
  const startMs = performance.now();
  const server = spawn(launch.file, launch.args, {
    env: launch.env,
    cwd: launch.cwd,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = once(server, "exit");
  const { signal } = new AbortController();
  let healthyMs = Number.NaN;
  for await (const line of createInterface({ input: server.stderr })) {
    const endpoint = parseListening(line);
    if (endpoint === undefined) continue;
    await untilHealthy(endpoint, signal);
    healthyMs = performance.now();
    await prove(launch, endpoint, signal);
    break;
  }
  const provedMs = performance.now();
  server.stderr.resume();
  server.kill("SIGKILL");
  await exited;
  return { upMs: healthyMs - startMs, proofMs: provedMs - healthyMs, endMs: performance.now() - provedMs };
}

async function untilHealthy(endpoint: Endpoint, signal: AbortSignal): Promise<void> {
  while ((await checkHealth(endpoint, 1000, signal)) !== "ready");
}

async function timeRestart(pair: DemoPair): Promise<Restart> {
  await pair.llmctl("up", "-d");
  const { pid } = JSON.parse(await pair.llmctl("status", "--json")) as { pid: number };
  const events: StatusEvent[] = [];
  let killedMs = Number.NaN;
  for await (const event of followEvents(pair.home.join("run", `${DemoPair.profile}.sock`))) {
    if (events.push(event) === 1) {
      killedMs = Date.now();
      process.kill(pid, "SIGKILL");
    } else if (event.status.state === "ready") break;
  }
  await pair.llmctl("down");
  await rm(pair.home.join("state", DemoPair.profile, "supervisor.log"));
  return readRestart(killedMs, events.slice(1));
}

function readRestart(killedMs: number, events: readonly StatusEvent[]): Restart {
  const find = (state: StateName) => {
    const event = events.find(({ status }) => status.state === state);
    if (event === undefined) throw new Error(`the supervisor logged no event "${state}"`);
    return event;
  };
  const timeOf = (state: StateName) => Date.parse(find(state).time);
  const { message, status } = find("backoff");
  const backoffMs = Number(/next start in (\d+) ms$/.exec(message)?.[1]);
  const backoffEndMs = timeOf("backoff") + (status.retryInMs ?? Number.NaN);
  return {
    endMs: backoffEndMs - backoffMs - killedMs,
    preflightMs: timeOf("starting") - backoffEndMs,
    upMs: timeOf("proving") - timeOf("starting"),
    proofMs: timeOf("ready") - timeOf("proving"),
    totalMs: timeOf("ready") - killedMs - backoffMs,
  };
}
