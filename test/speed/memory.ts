import { setTimeout as sleep } from "node:timers/promises";
import { DemoPair } from "./demo-pair.ts";
import { takeSample } from "./idle.ts";
import { judge } from "./measure.ts";

const sampleEveryMs = 15_000;
/** The heap grows until its first collection; after this time it has settled. */
const settleMs = 10 * 60_000;

/**
 * Memory of a supervisor whose server is checked a hundred times a second: an hour has as many checks as three
 * weeks at an interval of five seconds.
 * @param minutes At 15 or more it judges growth.
 */
export async function benchMemory(minutes: number): Promise<boolean> {
  await using pair = await DemoPair.prepare();
  await pair.configure({ health: { interval: "10ms" } });
  await pair.llmctl("up", "-d");
  const { supervisorPid, pid } = JSON.parse(await pair.llmctl("status", "--json")) as {
    supervisorPid: number;
    pid: number;
  };
  const startMs = performance.now();
  const samples: { readonly atMs: number; readonly rssMb: number }[] = [];
  while (performance.now() - startMs < minutes * 60_000) {
    await sleep(sampleEveryMs);
    samples.push({ atMs: performance.now() - startMs, rssMb: takeSample(supervisorPid).rssMb });
  }
  const after = JSON.parse(await pair.llmctl("status", "--json")) as { pid: number; restarts: number };
  if (after.pid !== pid || after.restarts > 0) throw new Error("the server was restarted meanwhile");
  await pair.llmctl("down");
  return report(samples, minutes);
}

function report(samples: readonly { readonly atMs: number; readonly rssMb: number }[], minutes: number): boolean {
  const settled = samples.filter(({ atMs }) => atMs >= settleMs).map(({ rssMb }) => rssMb);
  console.log(`memory of a supervisor at 100 health checks a second, ${minutes} min:`);
  console.log(
    `  RSS in MB, about each minute: ${samples
      .filter((_, i) => i % 4 === 3)
      .map(({ rssMb }) => rssMb.toFixed(1))
      .join(" ")}`,
  );
  if (settled.length < 20) {
    console.log("  too short to judge growth: --minutes 15 or more");
    return true;
  }
  const [least, most] = [Math.min(...settled), Math.max(...settled)];
  console.log(`  after the first 10 min: ${least.toFixed(1)} to ${most.toFixed(1)} MB`);
  return judge({ what: "RSS after 10 min, highest less lowest", value: most - least, limit: 2, unit: " MB" });
}
