import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import type { Status } from "../../src/control/messages.ts";
import { TempHome } from "../support/temp-home.ts";
import { takeSample, type Sample } from "./idle.ts";
import { describe, judge, median, program, timeNode } from "./measure.ts";

const runs = 10;
/** Six health checks of every server, and one heartbeat. */
const idleMs = 30_000;

/** The cost of many profiles on the fake server: `ps`, compared with `ps` of one, and idle supervisors. */
export async function benchMany(count: number): Promise<boolean> {
  await using home = await TempHome.create();
  const env = { ...process.env, LLMCTL_HOME: home.path };
  const llmctl = async (...args: string[]) =>
    (await execa(process.execPath, [program, ...args], { env, cwd: home.path })).stdout;
  for (let n = 0; n < count; n += 1) await home.writeFakeProfile(`p${n}`);
  try {
    await llmctl("up", "-d", "p0");
    const one = timePs(env);
    await llmctl("up", "-d", "--all");
    const all = timePs(env);
    // Wait for the last work of the starts.
    await sleep(5000);
    const idle = await watchIdle(JSON.parse(await llmctl("ps", "--json")) as readonly Status[]);
    return report({ count, one, all, ...idle });
  } finally {
    await llmctl("down", "--all");
  }
}

function timePs(env: NodeJS.ProcessEnv): readonly number[] {
  return Array.from({ length: runs }, () => timeNode([program, "ps"], env));
}

interface Idle {
  readonly supervisors: Spans;
  readonly servers: Spans;
}

/** The samples of some processes at the start and the end of a span. */
type Spans = readonly { readonly first: Sample; readonly last: Sample }[];

async function watchIdle(states: readonly Status[]): Promise<Idle> {
  const pids = states.map(({ supervisorPid, pid }) => ({ supervisorPid, pid: pid ?? supervisorPid }));
  const sample = () =>
    pids.map(({ supervisorPid, pid }) => ({ supervisor: takeSample(supervisorPid), server: takeSample(pid) }));
  const before = sample();
  await sleep(idleMs);
  const after = sample();
  const spans = (part: "supervisor" | "server") =>
    before.flatMap((first, index) => {
      const last = after[index];
      return last === undefined ? [] : [{ first: first[part], last: last[part] }];
    });
  return { supervisors: spans("supervisor"), servers: spans("server") };
}

interface Findings extends Idle {
  readonly count: number;
  readonly one: readonly number[];
  readonly all: readonly number[];
}

function report({ count, one, all, supervisors, servers }: Findings): boolean {
  const rss = supervisors.map(({ last }) => last.rssMb);
  console.log(`${supervisors.length} of ${count} profiles running on the fake server:`);
  console.log(`  llmctl ps with one: ${describe(one)}; with all: ${describe(all)}`);
  console.log(
    `  RSS of a supervisor: median ${median(rss).toFixed(1)} MB, the highest ${Math.max(...rss).toFixed(1)} MB`,
  );
  console.log(`  CPU of the fake servers themselves, share of one core: ${cpuPercent(servers).toFixed(1)} %`);
  return [
    judge({ what: "profiles that do not run", value: count - supervisors.length, limit: 0, unit: "" }),
    judge({ what: "ps with all, by ps with one", value: median(all) / median(one), limit: 5, unit: "" }),
    judge({
      what: "CPU of all supervisors while idle, share of one core",
      value: cpuPercent(supervisors),
      limit: 10,
      unit: " %",
    }),
  ].every(Boolean);
}

function cpuPercent(spans: Spans): number {
  return spans.reduce((sum, { first, last }) => sum + (100 * (last.cpuMs - first.cpuMs)) / (last.atMs - first.atMs), 0);
}
