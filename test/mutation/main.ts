/**
 * `npm run test:mutation [-- AREA|FILE …]`: breaks the code in one small place after the other (a mutant), runs the
 * unit tests that reach it, and tells which mutants no test notices. A mutant takes about half a second. Results are
 * kept outside the checkout: the next run tries only what has changed since, in the code or in its tests.
 */
import { mkdirSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { Stryker } from "@stryker-mutator/core";
import { type Area, listAreas } from "./areas.ts";

/** One row of the table at the end; `score` and `goal` in percent. */
interface Score {
  readonly area: string;
  readonly mutants: number;
  readonly noticed: number;
  readonly survived: number;
  readonly uncovered: number;
  readonly score: number;
  readonly goal: number;
}
type Result = Awaited<ReturnType<Stryker["runMutationTest"]>>[number];

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { force: { type: "boolean", default: false } },
});
const checkout = join(import.meta.dirname, "../..");
const kept = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "llmctl-mutation");

process.env["LLMCTL_CHECKOUT"] = checkout;
const scores: Score[] = [];
for (const area of choose(listAreas(), positionals)) scores.push(count(area, await run(area)));
process.stdout.write(table(scores));
process.exitCode = scores.every(({ score, goal }) => score >= goal) ? 0 : 1;

/** The named areas, and for named files their areas with these files alone. */
function choose(areas: readonly Area[], names: readonly string[]): readonly Area[] {
  if (names.length === 0) return areas;
  const known = new Set(areas.flatMap(({ name, files }) => [name, ...files]));
  const unknown = names.find((name) => !known.has(name));
  if (unknown !== undefined)
    throw new Error(
      `no area and no file with a unit test: ${unknown}; areas: ${areas.map(({ name }) => name).join(" ")}`,
    );
  return areas.flatMap((area) => {
    if (names.includes(area.name)) return [area];
    const files = area.files.filter((path) => names.includes(path));
    return files.length === 0 ? [] : [{ ...area, files }];
  });
}

async function run({ name, files }: Area): Promise<readonly Result[]> {
  mkdirSync(kept, { recursive: true });
  const stryker = new Stryker({
    testRunner: "vitest",
    plugins: ["@stryker-mutator/vitest-runner"],
    vitest: { configFile: "test/mutation/vitest.config.ts" },
    mutate: [...files],
    incremental: true,
    incrementalFile: join(kept, `${name}.json`),
    force: values.force,
    concurrency: 1,
    timeoutMS: 15_000, // a busy machine is no endless loop
    tempDirName: join(tmpdir(), `llmctl-mutation-${process.pid}`),
    reporters: ["clear-text", "progress-append-only", "html"],
    clearTextReporter: { allowColor: false, logTests: false, reportTests: false, reportScoreTable: false },
    htmlReporter: { fileName: join(kept, `${name}.html`) },
    // It rewrites tsconfig.json with TypeScript's old API, which is gone; vitest needs no tsconfig.json.
    tsconfigFile: "none",
  });
  return stryker.runMutationTest();
}

function count({ name, goal, files }: Area, all: readonly Result[]): Score {
  const results = all.filter(
    ({ fileName, status }) => files.includes(relative(checkout, fileName)) && status !== "Ignored",
  );
  const noticed = results.filter(({ status }) => status === "Killed" || status === "Timeout").length;
  const uncovered = results.filter(({ status }) => status === "NoCoverage").length;
  const score = results.length === 0 ? 100 : Math.floor((1000 * noticed) / results.length) / 10;
  return {
    area: name,
    mutants: results.length,
    noticed,
    survived: results.length - noticed - uncovered,
    uncovered,
    score,
    goal,
  };
}

function table(rows: readonly Score[]): string {
  const head = ["area", "mutants", "noticed", "survived", "not reached", "score", "goal"];
  const lines = rows.map((row) => Object.values(row).map(String));
  const widths = head.map((title, at) =>
    Math.max(...[head, ...lines].map((line) => line[at]?.length ?? 0), title.length),
  );
  return [head, ...lines]
    .map((line) => `${line.map((cell, at) => cell.padStart(widths[at] ?? 0)).join("  ")}\n`)
    .join("");
}
