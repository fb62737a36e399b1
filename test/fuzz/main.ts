import { parseArgs } from "node:util";
import { editsFuzzer } from "./edits.ts";
import { ggufFuzzer } from "./gguf.ts";
import { hubFuzzer } from "./hub.ts";
import { answersFuzzer } from "./answers.ts";
import { linesFuzzer } from "./lines.ts";
import { promptsFuzzer } from "./prompts.ts";
import { runFuzzer, tell } from "./run-fuzzer.ts";
import { socketsFuzzer } from "./sockets.ts";
import { statesFuzzer } from "./states.ts";
import { yamlFuzzer } from "./yaml.ts";

/*
 * `npm run test:fuzz [-- --full] [--only NAME,…] [--seed N] [--count N] [--first N]`: gives hostile input to every
 * reader of foreign text. Each input is read or refused with a typed error, within 1 s of CPU and 200 MB. The same seed
 * gives the same inputs.
 */
const fuzzers = [
  ggufFuzzer,
  yamlFuzzer,
  editsFuzzer,
  linesFuzzer,
  statesFuzzer,
  hubFuzzer,
  socketsFuzzer,
  answersFuzzer,
  promptsFuzzer,
];

const { values } = parseArgs({
  options: {
    full: { type: "boolean", default: false },
    only: { type: "string" },
    seed: { type: "string" },
    count: { type: "string" },
    first: { type: "string", default: "0" },
  },
});
const names = values.only?.split(",");
const unknown = names?.find((name) => !fuzzers.some((fuzzer) => fuzzer.name === name));
if (unknown !== undefined)
  throw new Error(`there is no fuzzer "${unknown}": ${fuzzers.map(({ name }) => name).join(", ")}`);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const chosen = fuzzers.filter(({ name }) => names?.includes(name) ?? true);
let found = 0;
for (const fuzzer of chosen) {
  const count = Number(values.count ?? fuzzer.counts[values.full ? "full" : "short"]);
  if (!(await runFuzzer(fuzzer, { seed, count, first: Number(values.first) }))) found += 1;
}
tell(`${chosen.length - found} passed, ${found} failed`);
process.exitCode = found === 0 ? 0 : 1;
