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
  withoutNulls,
  type LocatedMap,
} from "./yaml/located.ts";

export interface LoadOptions {
  /** Search folders of names, first match wins: `profileFolders`. */
  readonly folders: readonly string[];
  /** For `${env:NAME}` and `~`. */
  readonly env: Env;
  /**
   * The folder that a path from the user is relative to, and that messages leave out; the working directory of the
   * process by default.
   */
  readonly cwd?: string;
  /** Text to use in place of what a file holds, to check it before it is written. */
  readonly instead?: { readonly path: string; readonly text: string };
  /** Files that were parsed already, for callers that load many profiles with the same parents. */
  readonly parsed?: ParsedFiles;
}

/** The parsed text of each file, by path. */
export type ParsedFiles = Map<string, { readonly text: string; readonly parsed: ReturnType<typeof readYaml> }>;

/** A checked profile, and what its files say, merged. */
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
 * Whether a profile exists only to be extended: neither it nor what it extends has a model.
 * @throws LlmctlError as {@link loadProfile} does for a file that cannot be read.
 */
export async function isTemplate(nameOrPath: string, options: LoadOptions): Promise<boolean> {
  const cwd = options.cwd ?? process.cwd();
  const chain = await readChain(await findProfile(nameOrPath, options.folders, cwd), { ...options, cwd });
  return chain.complete && !chain.root.entries.has("model") && !isWorker(chain.root);
}

/** As {@link loadProfile}; it also returns what the files say, to tell written values from defaults. */
export async function resolveProfile(nameOrPath: string, options: LoadOptions): Promise<ResolvedProfile> {
  const cwd = options.cwd ?? process.cwd();
  const source = await findProfile(nameOrPath, options.folders, cwd);
  const chain = await readChain(source, { ...options, cwd });
  const expanded = expandEnv(chain.root, options.env);
  const root = resolvePaths(expanded.root, options.env);
  const checked = checkValues(root, chain.complete);
  const unexpanded = new Set(expanded.findings.map((finding) => finding.place));
  // A value that could not be expanded would be reported a second time.
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
  /** All files merged, as far as they could be read. */
  readonly root: LocatedMap;
  /** The files, child first. */
  readonly sources: readonly SourceText[];
  readonly findings: readonly ProfileProblem[];
  /** False when a parent is missing; the keys that it would have given are then not reported as missing. */
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
    // The keys of a file that is not valid YAML cannot be checked.
    if (own.length > 0) throw invalid([...findings, ...own], sources);
    const parent = await findParent(root, sources, options);
    if (parent && "message" in parent) findings.push(parent);
    next = parent && "path" in parent ? parent : undefined;
  }
  return { root: switchOff(maps.reduceRight(merge)), sources, findings, complete: findings.length === 0 };
}

/**
 * `draft: null` takes away the draft of the profile that is extended, and `null` for one of its keys that key. Another
 * type of drafting may refuse a key that is inherited.
 */
function switchOff(root: LocatedMap): LocatedMap {
  const draft = root.entries.get("draft");
  if (draft === undefined) return root;
  const { entries } = withoutNulls({ ...root, entries: new Map([["draft", draft]]) });
  const others = [...root.entries].flatMap(([key, entry]) =>
    key === "draft" ? [...entries] : [[key, entry] as const],
  );
  return { ...root, entries: new Map(others) };
}

/** Bounds the chain: each file is searched in every folder and compared with all files before it. */
const mostFiles = 32;

function tooLongChain(next: SourceText, [first = next]: readonly SourceText[]): LlmctlError {
  return new LlmctlError(
    "profile-invalid",
    `profile ${quote(first.name)} has a chain of more than ${mostFiles} profiles that extend each other`,
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
 * The file that a profile extends, or the problem when there is none. Undefined when it extends nothing, and when the
 * name is not valid, which the schema reports.
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
    // A profile may extend one of the same name further down the search path; any other repetition is a cycle.
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

/** A file that does not exist yet cannot be in the chain under another name. */
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
  // The characters of a value that is wrong anyway are not reported.
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
