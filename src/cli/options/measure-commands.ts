import { type Command, Option } from "@commander-js/extra-typings";
import { readCount, readDuration } from "./read-option.ts";

/** Tokens of an answer: enough for some dozens of drafts, and few enough for many prompts a minute. */
const mostTokens = 256;

// What both commands ask.

const prompts = new Option(
  "--prompts <file>",
  "JSON Lines or text (default: code, rewriting, prose and questions of the package)",
);
const concurrency = new Option("--concurrency <count>", "requests at once (default: the profile's parallel)").argParser(
  readCount,
);
const tokens = new Option("--tokens <count>", "most tokens of an answer").argParser(readCount).default(mostTokens);
const clock = new Option("--clock <clock>", "cpu: processor time, for models on the CPU of a busy machine")
  .choices(["wall", "cpu"] as const)
  .default("wall" as const);
const replace = new Option(
  "--replace <profile>",
  "a running profile that stops for the measurement and runs again afterwards; may be repeated",
).argParser(addTo);
const drafts = new Option(
  "--draft <model>",
  "a draft model beyond the profile's own: hf:OWNER/REPO:QUANT, an address or a path; may be repeated",
).argParser(addTo);
/** An option that is not given has no key. */
const notGiven = { prompts: undefined, concurrency: undefined, report: undefined };

/** One value for each option: a list of values would take the profile that follows as one more. */
function addTo(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** The commands that measure whether a draft pays. */
export function addMeasuring(program: Command, done: (code: number) => void): void {
  addBench(program, done);
  addTune(program, done);
}

function addBench(program: Command, done: (code: number) => void): void {
  program
    .command("bench <profile> [other]")
    .description("measure whether drafting makes a profile faster, on servers of its own")
    .usage("[options] <profile>\n       llmctl bench --compare A.json B.json")
    .addOption(prompts)
    .option("--against <profile>", "another profile to compare with; none: the same without drafting", "none")
    .addOption(
      new Option("--for <time>", "longest time for measurements").argParser(readDuration).default(600_000, "10m"),
    )
    .addOption(concurrency)
    .addOption(tokens)
    .addOption(clock)
    .addOption(replace)
    .option("--fresh", "forget what an interrupted run has measured", false)
    .option("--report <file>", "write the result as a page, with its data as JSON beside it; takes one load more")
    .option("--compare", "compare two reports instead: A.json B.json", false)
    .option("--json", "print JSON, for scripts", false)
    .action(
      async (profile, other, { for: forMs, clock: timing, compare, replace: names = [], ...options }, command) => {
        if (compare !== (other !== undefined))
          command.error(compare ? "error: --compare takes two reports" : `error: unknown argument '${other}'`);
        const { bench, benchCompare } = await import("../measure/bench.ts");
        done(
          other === undefined
            ? await bench(profile, { ...notGiven, ...options, forMs, timing, replace: names })
            : await benchCompare([profile, other], options.json),
        );
      },
    );
}

function addTune(program: Command, done: (code: number) => void): void {
  program
    .command("tune <profile>")
    .description("find the way of drafting that makes a profile fastest, and write it into the profile")
    .addOption(drafts)
    .addOption(prompts)
    .addOption(
      new Option("--for <time>", "longest time for the last round").argParser(readDuration).default(1_800_000, "30m"),
    )
    .addOption(concurrency)
    .addOption(tokens)
    .addOption(clock)
    .addOption(replace)
    .option("--fresh", "forget what was measured before", false)
    .option("--report <file>", "write the result as a page, with its data as JSON beside it")
    .option("--yes", "write the result without asking", false)
    .option("--dry-run", "only show what would be written", false)
    .option("--json", "print JSON, for scripts; writes nothing", false)
    .action(async (profile, { for: forMs, clock: timing, draft = [], replace: names = [], ...options }) => {
      const { tune } = await import("../measure/tune.ts");
      done(await tune(profile, { ...notGiven, ...options, forMs, timing, draft, replace: names }));
    });
}
