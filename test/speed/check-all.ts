import { spawnSync } from "node:child_process";
import { DemoPair } from "./demo-pair.ts";
import { describe, judge, median, program } from "./measure.ts";

const runs = 15;
const count = 100;

/** `llmctl check` of every profile, a hundred of which differ in their flags, compared with that of one. */
export async function benchCheckAll(): Promise<boolean> {
  await using pair = await DemoPair.prepare();
  for (let i = 0; i < count - 1; i += 1) {
    const server = { host: `127.0.0.${(i % 100) + 1}` };
    await pair.home.writeProfile(`p${i}`, {
      extends: DemoPair.profile,
      alias: `p${i}`,
      ctx_size: 256 + 2 * i,
      threads: 1 + (i % 8),
      server,
    });
  }
  const { size, elapsedMs: firstMs } = timeCheck(pair, "--all");
  if (size < count) throw new Error(`${size} profiles were right, not ${count}`);
  const one: number[] = [];
  const all: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    one.push(timeCheck(pair, DemoPair.profile).elapsedMs);
    all.push(timeCheck(pair, "--all").elapsedMs);
  }
  console.log(`llmctl check of ${count} profiles and the shipped ones, ${runs} runs in turns with that of one:`);
  console.log(`  all: ${describe(all)}, the first time ${firstMs.toFixed(1)} ms; one: ${describe(one)}`);
  return judge({ what: "ratio of the medians", value: median(all) / median(one), limit: 3, unit: "" });
}

/**
 * The shipped profiles lack their models here, so the exit code has no meaning.
 * @returns the number of valid profiles.
 */
function timeCheck({ env }: DemoPair, what: string): { readonly elapsedMs: number; readonly size: number } {
  const startMs = performance.now();
  const { stdout } = spawnSync(process.execPath, [program, "check", what, "--json"], {
    env,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  const elapsedMs = performance.now() - startMs;
  const checked = [JSON.parse(stdout)].flat() as { findings: { rank: string }[] }[];
  return { elapsedMs, size: checked.filter(({ findings }) => findings.every(({ rank }) => rank !== "error")).length };
}
