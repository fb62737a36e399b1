import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { execa } from "execa";
import { findPaths } from "../../src/base/files/paths.ts";
import type { BenchPrompt } from "../../src/bench/bench-prompt.ts";
import type { Estimate } from "../../src/bench/estimate.ts";
import type { Round } from "../../src/bench/measurement.ts";
import { readPrompts } from "../../src/bench/prompts/read-prompts.ts";
import { runRounds } from "../../src/bench/rounds/run-rounds.ts";
import { BenchContest } from "../../src/bench/servers/bench-contest.ts";
import { type BenchSetting, planSetting } from "../../src/bench/servers/plan-setting.ts";
import { estimateRatio } from "../../src/bench/statistics/estimate-ratio.ts";
import type { TuneReport } from "../../src/bench/tune-report.ts";
import { PlanSession } from "../../src/llama/plan/plan-session.ts";
import { loadProfile } from "../../src/profiles/load.ts";
import { ensureLanguageTwins, languageModelVariable } from "../support/language-twins.ts";
import { ensureLlamaBuild } from "../support/llama-builds.ts";
import { ensurePaddedPair } from "../support/padded-pair.ts";
import { ensureEndlessDraft, geometricRates, writeSyntheticServer } from "../support/synthetic-acceptance.ts";
import { TempHome } from "../support/temp-home.ts";
import { judge, program } from "./measure.ts";

/** A pair of models whose best setting is looked for twice. */
interface Fixture {
  readonly name: string;
  /** Writes the profile; undefined where a file is missing. */
  readonly prepare: (home: TempHome) => Promise<Readonly<Record<string, unknown>> | undefined>;
  /** What the sweep tries; a server of each runs at the same time. */
  readonly grid: Grid;
  /** Tokens of each answer. */
  readonly tokens: number;
  /** Longest time of tune's last stage, as `--for` takes it. */
  readonly time: string;
  /** Whether the tokens of an answer are drawn: a model that repeats itself is a case for n-grams. */
  readonly isRandom?: boolean | undefined;
}

interface Grid {
  readonly lengths: readonly number[];
  readonly probabilities: readonly number[];
}

const fineGrid: Grid = { lengths: [1, 2, 3, 4, 5, 6, 7, 8, 12, 16], probabilities: [0, 0.5, 0.75] };
/** For models of which a pass over the fine grid would take half an hour; it stands for the fine one. */
const coarseGrid: Grid = { lengths: [1, 2, 4, 6, 8, 12, 16], probabilities: [0, 0.75] };

const fixtures: readonly Fixture[] = [
  {
    name: "padded",
    prepare: async () => {
      const { target, draft } = await ensurePaddedPair();
      return { llama: { binary: await server() }, model: target, draft: { model: draft } };
    },
    grid: fineGrid,
    tokens: 64,
    time: "60s",
  },
  {
    name: "synthetic",
    prepare: async (home) => {
      const { target } = await ensurePaddedPair();
      const binary = await writeSyntheticServer(home.join("synthetic"), await server(), geometricRates(0.8));
      return { llama: { binary }, model: target, draft: { model: await ensureEndlessDraft() } };
    },
    grid: fineGrid,
    tokens: 64,
    time: "60s",
    isRandom: true,
  },
  { name: "f16", prepare: async () => twin("f16"), grid: coarseGrid, tokens: 48, time: "4m" },
  { name: "f32x60", prepare: async () => twin("padded"), grid: coarseGrid, tokens: 48, time: "6m" },
];

async function server(): Promise<string> {
  return (await ensureLlamaBuild("v0.5.0")).server;
}

/** Only where the language model is named: it is a download of 98 MB. */
async function twin(which: "f16" | "padded"): Promise<Readonly<Record<string, unknown>> | undefined> {
  if (!existsSync(process.env[languageModelVariable] ?? "")) return undefined;
  const { q4_1, ...twins } = await ensureLanguageTwins();
  return { llama: { binary: await server() }, model: twins[which], ctx_size: 512, draft: { model: q4_1 } };
}

const subjects = [
  "an otter",
  "a farm",
  "a king",
  "a boat",
  "the sea",
  "a fox",
  "a storm",
  "a child",
  "a bridge",
  "the moon",
  "a baker",
  "a train",
  "a garden",
  "a wolf",
  "an old clock",
  "the snow",
];

/**
 * `llmctl tune` beside an exhaustive sweep, by processor time: the winner is within 2 % of the best setting of the
 * sweep, in a fifth of its loads and time.
 * @param only Names of fixtures; empty: all. @param minutes Time of each sweep.
 */
export async function benchTuneTruth(only: readonly string[], minutes: number): Promise<boolean> {
  const verdicts: boolean[] = [];
  for (const fixture of fixtures.filter(({ name }) => only.length === 0 || only.includes(name)))
    verdicts.push(await compare(fixture, minutes));
  return verdicts.every(Boolean);
}

async function compare({ name, prepare, grid, tokens, time, isRandom }: Fixture, minutes: number): Promise<boolean> {
  await using home = await TempHome.create();
  const values = await prepare(home);
  if (values === undefined) {
    console.log(`${name}: skipped, set ${languageModelVariable}`);
    return true;
  }
  await home.writeProfile(name, { extends: "demo", ...values });
  const file = home.join("prompts.jsonl");
  await writeFile(
    file,
    subjects.map((_, index) => `${JSON.stringify(storyOf(index, { tokens, isRandom }))}\n`).join(""),
  );
  const report = await tune(home, name, { file, time });
  const sweep = await sweepAll(home, name, { file, minutes, report, grid, tokens });
  return showTruth(name, report, { sweep, grid });
}

/** A synthetic server draws from the seed what it accepts, so each prompt has its own. */
function storyOf(seed: number, { tokens, isRandom = false }: Pick<Fixture, "tokens" | "isRandom">) {
  return {
    messages: [{ role: "user", content: `Tell me a story about ${subjects[seed]}.` }],
    temperature: isRandom ? 1 : 0,
    seed,
    max_tokens: tokens,
    ignore_eos: true,
  };
}

async function tune(
  home: TempHome,
  name: string,
  { file, time }: { readonly file: string; readonly time: string },
): Promise<TuneReport> {
  const args = ["tune", name, "--prompts", file, "--clock", "cpu", "--for", time, "--json"];
  const env = { ...process.env, LLMCTL_HOME: home.path };
  const { stdout } = await execa(process.execPath, [program, ...args], { env });
  return JSON.parse(stdout) as TuneReport;
}

interface Sweep {
  /** By label of the setting, against no drafting. */
  readonly estimates: ReadonlyMap<string, Estimate>;
  readonly rounds: readonly Round[];
  /** Of one pass, which is what a sweep needs at least; of an unfinished one by the part that was done. */
  readonly passSeconds: number;
  readonly loads: number;
}

interface SweepOptions {
  readonly file: string;
  readonly minutes: number;
  readonly report: TuneReport;
  readonly grid: Grid;
  readonly tokens: number;
}

/** Every setting against none, in the same rounds. */
async function sweepAll(home: TempHome, name: string, options: SweepOptions): Promise<Sweep> {
  const { file, minutes, tokens } = options;
  const settings = await planAll(home, name, options);
  const rounds: Round[] = [];
  const { prompts } = await readPrompts(file);
  const signal = new AbortController().signal;
  const startedMs = performance.now();
  let passSeconds = 0;
  await using contest = new BenchContest({
    settings,
    capacity: settings.length,
    folder: home.join("sweep"),
    timing: "cpu",
    maxTokens: tokens,
    onEvent: () => undefined,
  });
  const add = (round: Round) => {
    rounds.push(round);
    if (rounds.length === prompts.length) passSeconds = (performance.now() - startedMs) / 1000;
  };
  const keeper = { rounds: [], add: async (round: Round) => add(round), get: () => undefined, put: async () => {} };
  await sweepFor(minutes, { settings, prompts, contest, keeper, signal });
  const seconds = (performance.now() - startedMs) / 1000;
  const estimates = new Map(
    settings.slice(1).flatMap(({ label }) => {
      const estimate = estimateRatio(rounds, { first: "none", second: label, timing: "cpu" });
      return estimate === undefined ? [] : [[label, estimate] as const];
    }),
  );
  const wholePass = passSeconds || (seconds * prompts.length) / Math.max(1, rounds.length);
  return { estimates, rounds, passSeconds: wholePass, loads: contest.loads };
}

interface Swept {
  readonly settings: readonly BenchSetting[];
  readonly prompts: readonly BenchPrompt[];
  readonly contest: BenchContest;
  readonly keeper: Parameters<typeof runRounds>[0]["keeper"];
  readonly signal: AbortSignal;
}

async function sweepFor(minutes: number, { settings, ...asked }: Swept): Promise<void> {
  await runRounds({
    ...asked,
    contestants: settings,
    concurrency: 1,
    isInterleaved: true,
    isEnough: () => false,
    limitMs: minutes * 60_000,
    mostPasses: 1000,
  });
}

/** None first, the grid, and the winner where the grid lacks it. */
async function planAll(home: TempHome, name: string, { report, grid }: SweepOptions): Promise<BenchSetting[]> {
  const { finalists, winner } = report;
  const env = { ...process.env, LLMCTL_HOME: home.path };
  const paths = findPaths(env);
  const profile = await loadProfile(name, { folders: [home.join("config", "profiles"), "profiles"], env });
  const session = new PlanSession(paths, env);
  const { draft } = profile.values;
  const settings = [await planSetting(profile, undefined, { label: "none", session })];
  for (const pMin of grid.probabilities)
    for (const nMax of grid.lengths) {
      const label = `draft-simple n_max ${nMax} p_min ${pMin}`;
      const its = draft && { ...draft, type: "draft-simple", n_max: nMax, p_min: pMin };
      settings.push(await planSetting(profile, its, { label, session }));
    }
  const won = finalists.find(({ setting }) => setting.label === winner)?.setting;
  if (won !== undefined && !settings.some(({ label }) => label === won.label))
    settings.push(await planSetting(profile, won.draft as typeof draft, { label: won.label, session }));
  return settings;
}

function sizeOf({ lengths, probabilities }: Grid): number {
  return lengths.length * probabilities.length;
}

function showTruth(
  name: string,
  report: TuneReport,
  { sweep, grid }: { readonly sweep: Sweep; readonly grid: Grid },
): boolean {
  const { estimates } = sweep;
  const [best] = [...estimates].toSorted(([, a], [, b]) => b.ratio - a.ratio);
  if (best === undefined) throw new Error(`${name}: nothing was measured`);
  console.log(`${name}: ${report.sentence}`);
  console.log("  setting                          predicted  tune                  sweep");
  for (const [label, estimate] of estimates) {
    const predicted = report.predicted.find((one) => one.label === label)?.ratio.toFixed(2) ?? "-";
    const measured = report.finalists.find(({ setting }) => setting.label === label)?.estimate;
    const marks = `${label === best[0] ? "  best" : ""}${label === report.winner ? "  winner" : ""}`;
    console.log(
      `  ${label.padEnd(33)}${predicted.padEnd(11)}${ratioOf(measured).padEnd(22)}${ratioOf(estimate)}${marks}`,
    );
  }
  const [bestRatio, ours] = [Math.max(1, best[1].ratio), estimates.get(report.winner ?? "")?.ratio ?? 1];
  const direct = estimateRatio(sweep.rounds, { first: report.winner ?? "none", second: best[0], timing: "cpu" });
  console.log(`  the best setting of the sweep against the winner: ${ratioOf(direct)}`);
  console.log(`  tune: ${report.loads} loads, ${report.seconds.toFixed(0)} s`);
  const rounds = report.rounds.filter(({ results }) => (report.winner ?? "none") in results).length;
  const part = (1 + sizeOf(fineGrid)) / (1 + sizeOf(grid));
  const [loads, passSeconds] = [sweep.loads * part, sweep.passSeconds * part];
  const asPrecise = passSeconds * Math.max(1, rounds / report.prompts.length);
  const took = [passSeconds, asPrecise].map((seconds) => seconds.toFixed(0));
  console.log(
    `  the fine grid: ${loads.toFixed(0)} loads, one pass ${took[0]} s, rounds as many as tune's ${took[1]} s`,
  );
  return [
    judge({ what: "the winner is slower than the best by", value: bestRatio / ours - 1, limit: 0.02, unit: "" }),
    judge({ what: "its part of the loads", value: report.loads / loads, limit: 0.2, unit: "" }),
    judge({ what: "its part of the time", value: report.seconds / asPrecise, limit: 0.2, unit: "" }),
  ].every(Boolean);
}

function ratioOf(estimate: Estimate | null | undefined): string {
  if (estimate === null || estimate === undefined) return "-";
  return [estimate.ratio, estimate.low, estimate.high].map((ratio) => ratio.toFixed(3)).join(" ");
}
