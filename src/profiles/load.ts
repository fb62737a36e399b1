import { realpath } from "node:fs/promises";
import { dirname } from "node:path";
import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import type { Env } from "../base/environment.ts";
import { expandEnv, resolvePaths } from "./expand.ts";
import { explainIssues } from "./schema/explain-issues.ts";
import { findAll, findProfile, readProfileText, unknownProfile } from "./find.ts";
import { profileJsonSchema } from "./schema/json-schema.ts";
import { quote } from "./yaml/quote-value.ts";
import { readYaml } from "./yaml/read-yaml.ts";
import { checkRules } from "./rules/check-rules.ts";
import { checkTextRules } from "./rules/text-rules.ts";
import { type Profile, profileNamePattern, profileSchema, type ProfileValues } from "./schema/schema.ts";
import { isWorker } from "./rules/worker-rules.ts";
import {
  type ProfileProblem,
  findLocated,
  type KeyPath,
  makeSource,
  merge,
  nearestPlace,
  showPlace,
  type SourceText,
  toPlain,
  toProblem,
  type LocatedMap,
} from "./yaml/located.ts";

export interface LoadOptions {
  /** Where names are looked up, first match wins: `profileFolders`. */
  readonly folders: readonly string[];
  /** For `${env:NAME}` and `~`. */
  readonly env: Env;
  /** What a path given by the user is relative to, and what messages leave out; the process's own unless told. */
  readonly cwd?: string;
  /** Text that stands in for what a file holds, or will hold: to check it before it is put in place. */
  readonly instead?: { readonly path: string; readonly text: string };
  /** Files that were parsed already: for whoever loads many profiles that extend the same ones. */
  readonly parsed?: ParsedFiles;
}

/** What was made of a file's text, by path. */
export type ParsedFiles = Map<string, { readonly text: string; readonly parsed: ReturnType<typeof readYaml> }>;

/** A checked profile with what was written for it, in all files that it was made from. */
export interface ResolvedProfile {
  readonly profile: Profile;
  readonly written: LocatedMap;
}

/**
 * Reads a profile by name, or by path when it holds a `/` or ends in `.yaml` or `.yml`, with everything it extends.
 * @throws LlmctlError `profile-unknown`, `profile-name`, `profile-unreadable`, or `profile-invalid` with all problems
 *   at once
 */
export async function loadProfile(nameOrPath: string, options: LoadOptions): Promise<Profile> {
  return (await resolveProfile(nameOrPath, options)).profile;
}

/**
 * Whether a profile is only there for others to extend: it has no model of its own, nor from what it extends.
 * @throws LlmctlError as {@link loadProfile} does for a file that cannot be read.
 */
export async function isTemplate(nameOrPath: string, options: LoadOptions): Promise<boolean> {
  const cwd = options.cwd ?? process.cwd();
  const chain = await readChain(await findProfile(nameOrPath, options.folders, cwd), { ...options, cwd });
  return chain.complete && !chain.root.entries.has("model") && !isWorker(chain.root);
}

/** As {@link loadProfile}, and keeps what was written, to tell written values from defaults. */
export async function resolveProfile(nameOrPath: string, options: LoadOptions): Promise<ResolvedProfile> {
  const cwd = options.cwd ?? process.cwd();
  const source = await findProfile(nameOrPath, options.folders, cwd);
  const chain = await readChain(source, { ...options, cwd });
  const expanded = expandEnv(chain.root, options.env);
  const root = resolvePaths(expanded.root, options.env);
  const checked = checkValues(root, chain.complete);
  const unexpanded = new Set(expanded.findings.map((finding) => finding.place));
  // A value that could not be expanded would only be called wrong a second time.
  const others = checked.findings.filter((finding) => !unexpanded.has(finding.place));
  const findings = [...chain.findings, ...expanded.findings, ...others];
  if (findings.length > 0 || !checked.values) throw invalid(findings, chain.sources);
  const at: Profile["at"] = (...key) => {
    const place = nearestPlace(root, key);
    return place === root.place ? source.shown : showPlace(place);
  };
  const envFromOutside = Object.keys(checked.values.env).filter((name) => isExpanded(root, ["env", name]));
  return {
    profile: { name: source.name, path: source.path, values: checked.values, envFromOutside, at },
    written: root,
  };
}

function isExpanded(root: LocatedMap, path: KeyPath): boolean {
  const written = findLocated(root, path)?.value;
  return written?.kind === "scalar" && written.expanded === true;
}

interface Chain {
  /** All files merged; as much as could be read. */
  readonly root: LocatedMap;
  /** The files, child first. */
  readonly sources: readonly SourceText[];
  readonly findings: readonly ProfileProblem[];
  /** False when a parent is missing, so that what it would have given is not called missing too. */
  readonly complete: boolean;
}

async function readChain(first: SourceText, options: LoadOptions & { readonly cwd: string }): Promise<Chain> {
  const { instead } = options;
  const sources: SourceText[] = [];
  const maps: LocatedMap[] = [];
  const findings: ProfileProblem[] = [];
  let next: SourceText | undefined = first;
  while (next) {
    const stands = instead?.path === next.path ? instead.text : undefined;
    const { root, findings: own } =
      stands === undefined ? parseOnce(await readProfileText(next), next, options.parsed) : readYaml(stands, next);
    if (sources.length === mostFiles) throw tooLongChain(next, sources);
    sources.push(next);
    maps.push(root);
    // Nothing can be said about the keys of a file that is not valid YAML.
    if (own.length > 0) throw invalid([...findings, ...own], sources);
    const parent = await findParent(root, sources, options);
    if (parent && "message" in parent) findings.push(parent);
    next = parent && "path" in parent ? parent : undefined;
  }
  return { root: maps.reduceRight(merge), sources, findings, complete: findings.length === 0 };
}

/** Stops a chain of thousands of files, each of which is looked for in every folder and compared with all before it. */
const mostFiles = 32;

function tooLongChain(next: SourceText, [first = next]: readonly SourceText[]): LlmctlError {
  return new LlmctlError(
    "profile-invalid",
    `profile ${quote(first.name)} extends one that extends one, more than ${mostFiles} times`,
    {
      exit: "config",
      at: next.shown,
      fix: 'remove one "extends" of this chain',
    },
  );
}

function parseOnce(text: string, source: SourceText, files: ParsedFiles | undefined): ReturnType<typeof readYaml> {
  const known = files?.get(source.path);
  if (known?.text === text) return known.parsed;
  const parsed = readYaml(text, source);
  files?.set(source.path, { text, parsed });
  return parsed;
}

/**
 * The file that a profile extends, or why there is none; undefined when it extends nothing, or names it wrongly (which
 * the schema reports).
 */
async function findParent(
  root: LocatedMap,
  sources: readonly SourceText[],
  { folders, cwd, instead }: LoadOptions & { readonly cwd: string },
): Promise<SourceText | ProfileProblem | undefined> {
  const written = findLocated(root, ["extends"]);
  const name = written?.value.kind === "scalar" ? written.value.value : undefined;
  const source = sources.at(-1);
  if (!written || !source || typeof name !== "string" || !profileNamePattern.test(name)) return undefined;
  const home = dirname(source.path);
  const search = folders.includes(home) ? folders : [home, ...folders];
  const candidates = await findAll(name, search);
  const seen = await Promise.all(
    sources.map(({ path }) => (instead?.path === path ? realpathOfNew(path) : realpath(path))),
  );
  for (const path of candidates) {
    if (!seen.includes(await realpath(path))) return makeSource(name, path, cwd);
    // A profile may extend one of its own name further down the search path; any other repetition is a cycle.
    if (name !== source.name) break;
  }
  if (candidates.length === 0) {
    const error = await unknownProfile(name, search);
    const fix = error.fix === undefined ? {} : { fix: error.fix };
    return {
      message: `profile ${quote(source.name)} extends ${quote(name)}, which does not exist`,
      place: written.place,
      ...fix,
    };
  }
  const names = [...sources.map((one) => one.name), name];
  return {
    message: `profile ${quote(source.name)} extends itself: ${names.join(" -> ")}`,
    place: written.place,
    fix: 'remove one "extends" of this chain',
  };
}

/** A file that is only to be written is no other one by any of its names. */
async function realpathOfNew(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return path;
    throw error;
  }
}

function checkValues(
  root: LocatedMap,
  complete: boolean,
): { readonly values?: ProfileValues; readonly findings: ProfileProblem[] } {
  const rules = complete ? checkRules(root) : [];
  const parsed = profileSchema.safeParse(toPlain(root));
  const explained = parsed.success ? [] : explainIssues(parsed.error.issues, { root, schema: profileJsonSchema() });
  const findings = [...explained, ...rules];
  // What is wrong as a whole needs no word about its characters.
  const wrong = new Set(findings.map(({ place }) => place));
  const text = checkTextRules(root).filter(({ place }) => !wrong.has(place));
  return { ...(parsed.success ? { values: parsed.data } : {}), findings: [...findings, ...text] };
}

/** One error with all problems, the child's file first, each file from top to bottom. */
function invalid(findings: readonly ProfileProblem[], sources: readonly SourceText[]): LlmctlError {
  const order = (finding: ProfileProblem) => sources.findIndex((source) => source.path === finding.place.source.path);
  const sorted = findings.toSorted(
    (a, b) => order(a) - order(b) || a.place.line - b.place.line || a.place.column - b.place.column,
  );
  const [first, ...more] = sorted.map(toProblem);
  if (!first) throw new TypeError("a profile was refused without a problem");
  const { message, ...where } = first;
  return new LlmctlError("profile-invalid", message, { exit: "config", ...where }, more);
}
