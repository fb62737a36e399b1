import { parseArgs } from "node:util";
import { benchCheckAll } from "./check-all.ts";
import { benchDown } from "./down.ts";
import { benchFetch } from "./fetch.ts";
import { benchGate } from "./gate.ts";
import { benchHostileInput } from "./hostile-input.ts";
import { benchIdle } from "./idle.ts";
import { benchLogPath } from "./log-path.ts";
import { benchMany } from "./many.ts";
import { benchMemory } from "./memory.ts";
import { benchMetrics } from "./metrics.ts";
import { benchReadyLag } from "./ready-lag.ts";
import { benchRestart } from "./restart.ts";
import { benchStartUp } from "./start-up.ts";
import { benchTuneTruth } from "./tune-truth.ts";

/*
 * `npm run bench [-- NAME… [--minutes N] [--profiles N] [--runs N] [--fixtures A,B]]`: measures,
 * prints each value beside its limit, and
 * exits with 1 when a limit is missed. Everything is compared with something measured in the same run; absolute times
 * belong to one machine.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: "string", default: "1" },
    profiles: { type: "string", default: "100" },
    runs: { type: "string", default: "25" },
    fixtures: { type: "string" },
  },
});

const benchmarks: Readonly<Record<string, () => Promise<boolean>>> = {
  "ready-lag": benchReadyLag,
  "start-up": benchStartUp,
  idle: () => benchIdle(Number(values.minutes)),
  memory: () => benchMemory(Number(values.minutes)),
  down: benchDown,
  restart: () => benchRestart(Number(values.runs)),
  "log-path": benchLogPath,
  "check-all": benchCheckAll,
  fetch: benchFetch,
  many: () => benchMany(Number(values.profiles)),
  gate: benchGate,
  metrics: benchMetrics,
  "hostile-input": benchHostileInput,
  "tune-truth": () => benchTuneTruth(values.fixtures?.split(",") ?? [], Number(values.minutes)),
};

const names = positionals.length === 0 ? Object.keys(benchmarks) : positionals;
const verdicts: boolean[] = [];
for (const name of names) {
  const benchmark = benchmarks[name];
  if (benchmark === undefined)
    throw new Error(`unknown benchmark "${name}"; there are ${Object.keys(benchmarks).join(", ")}`);
  verdicts.push(await benchmark());
  console.log();
}
if (!verdicts.every(Boolean)) process.exitCode = 1;
