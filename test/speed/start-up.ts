import { DemoPair } from "./demo-pair.ts";
import { describe, judge, median, type NodeCost, program, timeNodeWithCpu } from "./measure.ts";
import { TempHome } from "../support/temp-home.ts";

const runs = 25;

interface Command {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** The most CPU time, as a multiple of that of `node -e 0`. */
  readonly limit: number;
}

/** Cost of short commands, compared in turns with an empty Node process: CPU time and wall time. */
export async function benchStartUp(): Promise<boolean> {
  await using pair = await DemoPair.prepare();
  await using empty = await TempHome.create();
  const nothingRuns = { ...process.env, LLMCTL_HOME: empty.path };
  await pair.llmctl("plan"); // the answers of builds are cached now
  await pair.llmctl("up", "-d");
  const commands: readonly Command[] = [
    { name: "ps, nothing running", args: ["ps"], env: nothingRuns, limit: 1.5 },
    { name: "status", args: ["status", DemoPair.profile], env: pair.env, limit: 1.6 },
    { name: "plan demo", args: ["plan", DemoPair.profile], env: pair.env, limit: 3 },
  ];
  const turns = Array.from({ length: runs }, () => ({
    node: timeNodeWithCpu(["-e", "0"], nothingRuns),
    costs: commands.map(({ args, env }) => timeNodeWithCpu([program, ...args], env)),
  }));
  await pair.llmctl("down");
  console.log(`start-up, ${runs} runs of each in turns with node -e 0:`);
  const show = (name: string, costs: readonly NodeCost[]) =>
    console.log(
      `  ${name}: CPU ${describe(costs.map((one) => one.cpuMs))}, wall ${describe(costs.map((one) => one.wallMs))}`,
    );
  show(
    "node -e 0",
    turns.map(({ node }) => node),
  );
  const verdicts = commands.map(({ name, limit }, index) => {
    const costs = turns.flatMap(({ costs }) => costs[index] ?? []);
    show(name, costs);
    const ratio = (of: keyof NodeCost) =>
      median(turns.map(({ node, costs }) => (costs[index]?.[of] ?? NaN) / node[of]));
    console.log(`    wall time beside node -e 0, median of the pairs: ${ratio("wallMs").toFixed(2)}`);
    return judge({
      what: `${name}, CPU beside node -e 0, median of the pairs`,
      value: ratio("cpuMs"),
      limit,
      unit: "",
    });
  });
  return verdicts.every(Boolean);
}
