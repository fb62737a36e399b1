import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import getPort from "get-port";
import { DemoPair } from "./demo-pair.ts";
import { judge } from "./measure.ts";

const scrapesPerSecond = 10;
const seconds = 30;

/**
 * The additional cost of a supervisor while its metrics are scraped far more often than by Prometheus, compared with
 * no scrapes.
 */
export async function benchMetrics(): Promise<boolean> {
  await using pair = await DemoPair.prepare();
  const port = await getPort({ host: "127.0.0.1" });
  await pair.configure({ server: { metrics: true, metrics_port: port } });
  await pair.llmctl("up", "-d");
  const { supervisorPid } = JSON.parse(await pair.llmctl("status", "--json")) as { supervisorPid: number };
  // The first scrape loads the code that renders the metrics.
  await scrape(port);
  await sleep(5000);
  const idle = await measureCpu(supervisorPid, () => Promise.resolve());
  const scraped = await measureCpu(supervisorPid, () => scrape(port));
  const rssMb = readRssMb(supervisorPid);
  await pair.llmctl("down");
  console.log(`supervisor while its metrics are scraped ${scrapesPerSecond} times a second, for ${seconds} s:`);
  console.log(`  CPU without scrapes: ${idle.toFixed(2)} % of one core, with them: ${scraped.toFixed(2)} %`);
  const verdicts = [
    judge({ what: "CPU of the scrapes, share of one core", value: Math.max(0, scraped - idle), limit: 2, unit: " %" }),
    judge({ what: "RSS", value: rssMb, limit: 75, unit: " MB" }),
  ];
  return verdicts.every(Boolean);
}

async function scrape(port: number): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  const text = await response.text();
  if (!text.includes("llmctl_state"))
    throw new Error(`the metrics port answered ${response.status}: ${text.slice(0, 200)}`);
}

/** Percent of one core that a process uses while an action is repeated at the benchmark's rate. */
async function measureCpu(pid: number, once: () => Promise<void>): Promise<number> {
  const [startMs, startCpuMs] = [performance.now(), readCpuMs(pid)];
  for (let tick = 1; tick <= seconds * scrapesPerSecond; tick += 1) {
    await once();
    await sleep(Math.max(0, startMs + (1000 * tick) / scrapesPerSecond - performance.now()));
  }
  return (100 * (readCpuMs(pid) - startCpuMs)) / (performance.now() - startMs);
}

function readCpuMs(pid: number): number {
  const ns = readdirSync(`/proc/${pid}/task`).map((tid) =>
    Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, "utf8").split(" ")[0]),
  );
  return ns.reduce((sum, one) => sum + one, 0) / 1e6;
}

function readRssMb(pid: number): number {
  return (Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024) / 1e6;
}
