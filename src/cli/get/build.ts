import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { execa } from "execa";
import { LlmctlError, type Problem } from "../../base/errors.ts";
import { exitCodes, type ExitName } from "../../base/exit-codes.ts";
import { findPaths } from "../../base/files/paths.ts";
import { expectSafeForRoot } from "../../base/files/trusted-path.ts";
import { packageFolder } from "../../base/package-folder.ts";
import { buildsFolder, listBuilds, useBuild } from "../../llama/ask/builds.ts";
import { jsonText } from "../screen/json-text.ts";
import { ProgressLine } from "../screen/progress.ts";
import { formatTable } from "../../base/text/table.ts";
import { outputWidth, print, printError } from "../screen/print.ts";

const script = join(packageFolder, "scripts", "build-llama.sh");

/** What to build, as typed; the script checks the values. */
export interface ScriptOptions {
  readonly ref?: string | undefined;
  readonly repo?: string | undefined;
  readonly source?: string | undefined;
  readonly bundle?: string | undefined;
  readonly backend?: string | undefined;
  readonly cudaArch?: string | undefined;
  readonly portable?: boolean | undefined;
  readonly rpc?: boolean | undefined;
  readonly jobs?: string | undefined;
}

/** Options of `llmctl build`. */
export interface BuildOptions extends ScriptOptions {
  readonly prefix?: string | undefined;
  /** Only list the installed builds. */
  readonly list?: boolean | undefined;
  /** With `list` or `use`. */
  readonly json?: boolean | undefined;
  /** Only make this build, by id or ref, the current build. */
  readonly use?: string | undefined;
}

/**
 * `llmctl build`: builds llama.cpp with `scripts/build-llama.sh` and shows the progress, lists the installed builds, or
 * makes one of them the current build.
 * @throws LlmctlError `build-failed` with the script's own message, `build-interrupted`, or as {@link useBuild}.
 */
export async function build(options: BuildOptions): Promise<void> {
  const { data } = findPaths();
  if (!options.list) expectSafeForRoot(options.prefix ?? buildsFolder(data));
  if (options.list) return printBuilds(data, options.json ?? false);
  if (options.use === undefined) {
    await runScript(scriptArguments({ prefix: buildsFolder(data), ...options }));
    return;
  }
  const used = await useBuild(options.use, data);
  print(options.json ? jsonText(used) : `current   ${used.id}\n`);
}

async function printBuilds(dataDir: string, json: boolean): Promise<void> {
  const { builds, broken } = await listBuilds(dataDir);
  if (json) {
    print(jsonText({ builds, broken }));
    return;
  }
  if (builds.length + broken.length === 0) print('no build of llama.cpp is installed; run "llmctl build"\n');
  else {
    const rows = builds.map((one) => [
      one.current ? "*" : "",
      one.id,
      one.version,
      one.date.toISOString().slice(0, 10),
    ]);
    const unusable = broken.map(({ id, problem }) => ["", id, `broken: ${problem}`, ""]);
    print(formatTable(["", "BUILD", "VERSION", "DATE"], [...rows, ...unusable], outputWidth()));
  }
}

function scriptArguments({ portable, rpc, list: _list, json: _json, use: _use, ...valued }: BuildOptions): string[] {
  const flags = { ...valued, cudaArch: undefined, "cuda-arch": valued.cudaArch };
  const pairs = Object.entries(flags).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]));
  return [...pairs, ...(portable ? ["--portable"] : []), ...(rpc ? ["--rpc"] : [])];
}

/**
 * Builds and installs llama.cpp; the current build stays the same.
 * @returns the id of the new build.
 * @throws LlmctlError `build-failed`, `build-interrupted`.
 */
export async function installBuild(options: ScriptOptions): Promise<string> {
  const { data } = findPaths();
  expectSafeForRoot(buildsFolder(data));
  const manifest = await runScript([...scriptArguments({ ...options, prefix: buildsFolder(data) }), "--keep-current"]);
  if (manifest === undefined) throw new Error("scripts/build-llama.sh named no manifest");
  return basename(dirname(manifest));
}

/** @returns the path of the manifest of the new build; undefined when the script prints none. */
async function runScript(args: readonly string[]): Promise<string | undefined> {
  const child = execa("bash", [script, ...args], { stdin: "ignore", buffer: false, reject: false });
  const stop = () => child.kill("SIGTERM"); // the script then removes its unfinished work
  process.on("SIGINT", stop).on("SIGTERM", stop);
  const screen = new BuildScreen();
  const problems: Problem[] = [];
  let manifest: string | undefined;
  const [{ exitCode, signal }] = await Promise.all([
    child,
    forEachLine(child.stdout, (line) => {
      manifest = /^manifest: (.+)$/.exec(line)?.[1] ?? manifest;
      screen.show(line);
    }),
    forEachLine(child.stderr, (line) => {
      if (!readProblem(line, problems)) screen.showOnStderr(line);
    }),
  ]);
  process.off("SIGINT", stop).off("SIGTERM", stop);
  screen.end();
  if (exitCode === 0) return manifest;
  throw failure(
    problems,
    exitCode === undefined ? `was ended by ${signal ?? "a signal"}` : `ended with exit code ${exitCode}`,
    exitCode,
  );
}

async function forEachLine(input: Readable, use: (line: string) => void): Promise<void> {
  for await (const line of createInterface({ input })) use(line);
}

/** Shows the compiler's steps as a progress line, and the other lines of the script unchanged. */
class BuildScreen {
  #progress: ProgressLine | undefined;

  show(line: string): void {
    const step = readStep(line);
    if (step !== undefined) {
      this.#progress ??= new ProgressLine({
        label: "compile ",
        unit: step.total === 100 ? formatPercent : formatSteps,
      });
      this.#progress.update(step.done, step.total);
      return;
    }
    this.end();
    if (!line.startsWith("manifest: ")) print(`${line}\n`);
  }

  showOnStderr(line: string): void {
    this.end();
    printError(`${line}\n`);
  }

  end(): void {
    this.#progress?.clear();
    this.#progress = undefined;
  }
}

const formatSteps = (steps: number): string => `${steps} steps`;
const formatPercent = (percent: number): string => `${percent} %`;

/** Reads ninja's `[12/210] …` and make's `[ 12%] …`. */
function readStep(line: string): { done: number; total: number } | undefined {
  const [, done, total] = /^\[ *(\d+)(?:\/(\d+)|%)\]/.exec(line) ?? [];
  return done === undefined ? undefined : { done: Number(done), total: Number(total ?? 100) };
}

/** Collects the problems that the script reports. @returns whether the line is part of a problem. */
function readProblem(line: string, problems: Problem[]): boolean {
  const [, message] = /^build-llama\.sh: error: (.*)$/.exec(line) ?? [];
  if (message !== undefined) problems.push({ message });
  const [, key, value] = /^ {2}(at|fix): +(.*)$/.exec(line) ?? [];
  const last = problems.pop();
  if (last === undefined) return false;
  problems.push(key === undefined ? last : { ...last, [key]: value });
  return message !== undefined || key !== undefined;
}

function failure(problems: readonly Problem[], ending: string, exitCode: number | undefined): LlmctlError {
  const exit = exitName(exitCode);
  if (exit === "interrupted")
    return new LlmctlError("build-interrupted", "the build was interrupted; nothing was installed", { exit });
  const [first = { message: `scripts/build-llama.sh ${ending}` }, ...more] = problems;
  return new LlmctlError("build-failed", first.message, { exit, ...first }, more);
}

/** The script ends with llmctl's exit codes; 143 is the shell's for SIGTERM. */
function exitName(code: number | undefined): ExitName {
  if (code === undefined || code === 143) return "interrupted";
  const names = Object.keys(exitCodes) as ExitName[];
  return names.find((name) => name !== "done" && exitCodes[name].code === code) ?? "failed";
}
