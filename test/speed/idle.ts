import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { DemoPair } from "./demo-pair.ts";
import { judge } from "./measure.ts";

const sampleEveryMs = 30_000;

export interface Sample {
  readonly atMs: number;
  /** CPU time of all its threads. */
  readonly cpuMs: number;
  readonly rssMb: number;
  readonly fds: number;
}

/**
 * The cost of a detached supervisor while its server is ready and gets no requests.
 * @param minutes At 5 or more it also judges growth.
 */
export async function benchIdle(minutes: number): Promise<boolean> {
  await using pair = await DemoPair.prepare();
  await pair.llmctl("up", "-d");
  const { supervisorPid } = JSON.parse(await pair.llmctl("status", "--json")) as { supervisorPid: number };
  // Wait for the last work of the start, such as writing the state file.
  await sleep(5000);
  const samples = [takeSample(supervisorPid)];
  for (let elapsedMs = 0; elapsedMs < minutes * 60_000; elapsedMs += sampleEveryMs) {
    await sleep(sampleEveryMs);
    samples.push(takeSample(supervisorPid));
  }
  await pair.llmctl("down");
  return report(samples, minutes);
}

function report(samples: readonly Sample[], minutes: number): boolean {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined) throw new Error("nothing was sampled");
  const cpuPercent = (100 * (last.cpuMs - first.cpuMs)) / (last.atMs - first.atMs);
  const peakMb = Math.max(...samples.map(({ rssMb }) => rssMb));
  console.log(`supervisor while ready and idle, ${minutes} min:`);
  console.log(`  RSS in MB, every 30 s: ${samples.map(({ rssMb }) => rssMb.toFixed(1)).join(" ")}`);
  console.log(`  open files: ${first.fds} at first, ${last.fds} at last`);
  const verdicts = [
    judge({ what: "CPU, share of one core", value: cpuPercent, limit: 0.3, unit: " %" }),
    judge({ what: "RSS, the highest", value: peakMb, limit: 75, unit: " MB" }),
  ];
  // Node returns memory late: only minutes show whether the heap grows or varies.
  if (minutes >= 5) verdicts.push(judge({ what: "RSS, growth", value: growth(samples), limit: 1, unit: " MB" }));
  return verdicts.every(Boolean);
}

/** Minimum of the last third minus minimum of the first third, in MB. */
function growth(samples: readonly Sample[]): number {
  const third = Math.floor(samples.length / 3);
  const least = (some: readonly Sample[]) => Math.min(...some.map(({ rssMb }) => rssMb));
  return least(samples.slice(-third)) - least(samples.slice(0, third));
}

/** The present cost of a process. */
export function takeSample(pid: number): Sample {
  const threads = readdirSync(`/proc/${pid}/task`);
  const cpuNs = threads.map((tid) => Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, "utf8").split(" ")[0]));
  const rssKib = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  return {
    atMs: performance.now(),
    cpuMs: cpuNs.reduce((sum, ns) => sum + ns, 0) / 1e6,
    rssMb: (rssKib * 1024) / 1e6,
    fds: readdirSync(`/proc/${pid}/fd`).length,
  };
}
