import { TempHome } from "../support/temp-home.ts";
import { describe, judge, median, program, timeNode } from "./measure.ts";

const runs = 40;

/** `llmctl ps` where nothing runs, beside a Node that does nothing. */
export async function benchPs(): Promise<boolean> {
  await using home = await TempHome.create();
  const env = { ...process.env, LLMCTL_HOME: home.path };
  const ps: number[] = [];
  const node: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    node.push(timeNode(["-e", "0"], env));
    ps.push(timeNode([program, "ps"], env));
  }
  console.log(`llmctl ps with nothing running, ${runs} runs in turns with node -e 0:`);
  console.log(`  llmctl ps: ${describe(ps)}; node -e 0: ${describe(node)}`);
  return judge({ what: "ratio of the medians", value: median(ps) / median(node), limit: 1.8, unit: "" });
}
