import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { answerPath, keepAnswer, readAnswer } from "../../base/files/answer-cache.ts";
import { findClosest } from "../../base/text/closest.ts";
import { LlmctlError } from "../../base/errors.ts";
import { explainFailedRun } from "./failed-run.ts";
import { type FlagEntry, parseHelp } from "./help-text.ts";
import { runBriefly } from "./run-briefly.ts";

/** A spelling of a flag that a build knows. */
export interface KnownFlag {
  /** The spelling in the build's help text. */
  readonly name: string;
  readonly entry: FlagEntry;
  /** The spelling is one of the entry's negations. */
  readonly negated: boolean;
}

/** The flags of one llama.cpp program. A flag that its help lists only as removed counts as absent. */
export class FlagCatalogue {
  /** The program's own version, such as `0.5.0-dev (build 1, commit de3ff81)` or `7698 (79efbb1)`. */
  readonly version: string;
  readonly entries: readonly FlagEntry[];
  readonly #flags = new Map<string, KnownFlag>();
  readonly #removed = new Map<string, string>();

  constructor(version: string, entries: readonly FlagEntry[]) {
    this.version = version;
    this.entries = entries;
    for (const entry of entries) {
      if (entry.removed !== undefined) {
        for (const name of entry.names) this.#removed.set(name, entry.removed);
        continue;
      }
      for (const name of entry.names) this.#flags.set(name, { name, entry, negated: false });
      for (const name of entry.negations) this.#flags.set(name, { name, entry, negated: true });
    }
  }

  has(name: string): boolean {
    return this.find(name) !== undefined;
  }

  find(name: string): KnownFlag | undefined {
    return this.#flags.get(canonical(name));
  }

  /** The first of these names that the build knows. */
  findFirst(names: readonly string[]): KnownFlag | undefined {
    for (const name of names) {
      const match = this.find(name);
      if (match !== undefined) return match;
    }
    return undefined;
  }

  /** The replacement that the program names for a removed flag, or ""; undefined for any other name. */
  removedHint(name: string): string | undefined {
    return this.#removed.get(canonical(name));
  }

  /** The flag that a misspelled name most probably means. */
  closest(name: string): string | undefined {
    return findClosest(canonical(name), [...this.#flags.keys()]);
  }
}

/** llama.cpp reads `--a_b` as `--a-b`. */
function canonical(name: string): string {
  return name.startsWith("--") ? name.replaceAll("_", "-") : name;
}

/** Raised when the shape of a cached catalogue changes. */
const cacheFormat = 1;

interface CachedCatalogue {
  readonly format: typeof cacheFormat;
  readonly file: string;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
  readonly version: string;
  readonly entries: readonly FlagEntry[];
}

/**
 * The flags of this binary: from its `--version` and `--help`, or from the cache while its path, size and mtime stay
 * the same. Call `checkBinary` first.
 * @param options.env The whole environment of the binary.
 * @throws LlmctlError `help-unreadable`, or that of `explainFailedRun` when the binary cannot run.
 */
export async function readFlagCatalogue(
  file: string,
  options: { readonly cacheDir: string; readonly env: Readonly<Record<string, string>> },
): Promise<FlagCatalogue> {
  const path = resolve(file);
  const { size: sizeBytes, mtimeMs } = await stat(path);
  const cacheFile = answerPath(options.cacheDir, "flags", path);
  const cached = await readAnswer(cacheFile, isCatalogue);
  if (cached?.file === path && cached.sizeBytes === sizeBytes && cached.mtimeMs === mtimeMs) {
    return new FlagCatalogue(cached.version, cached.entries);
  }
  const [version, help] = await Promise.all([run(path, "--version", options.env), run(path, "--help", options.env)]);
  const entries = parseHelpOf(path, help.stdout);
  const fresh: CachedCatalogue = {
    format: cacheFormat,
    file: path,
    sizeBytes,
    mtimeMs,
    version: parseVersion(version),
    entries,
  };
  await keepAnswer(cacheFile, fresh);
  return new FlagCatalogue(fresh.version, entries);
}

/** One short run of the binary. @throws LlmctlError of `explainFailedRun` for any exit code but 0. */
async function run(
  file: string,
  flag: string,
  env: Readonly<Record<string, string>>,
): Promise<{ stdout: string; stderr: string }> {
  const result = await runBriefly(file, [flag], { env, timeoutMs: 10_000 });
  if (result.failed) throw await explainFailedRun(file, `answer ${flag}`, env, result);
  return result;
}

function parseHelpOf(file: string, text: string): FlagEntry[] {
  try {
    return parseHelp(text);
  } catch (error) {
    if (!(error instanceof LlmctlError)) throw error;
    const fix = error.fix;
    throw new LlmctlError(error.code, error.message, {
      exit: error.exit,
      at: file,
      cause: error,
      ...(fix === undefined ? {} : { fix }),
    });
  }
}

/** `version: …` is on stderr, among the lines of the backends; a wrapper script may send it to stdout. */
function parseVersion(output: { readonly stdout: string; readonly stderr: string }): string {
  return /^version: (.+)$/m.exec(`${output.stderr}\n${output.stdout}`)?.[1]?.trim() ?? "of unknown version";
}

function isCatalogue(value: unknown): value is CachedCatalogue {
  return (
    typeof value === "object" &&
    value !== null &&
    "format" in value &&
    value.format === cacheFormat &&
    "version" in value &&
    typeof value.version === "string" &&
    "entries" in value &&
    Array.isArray(value.entries)
  );
}
