import type { Problem } from "../../base/errors.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import type { FlagCatalogue, KnownFlag } from "../ask/flag-catalogue.ts";
import { ownedFlags, secretFlag } from "./owned-flags.ts";
import { allows, type FlagRule, type RenderInput } from "./flag-rule.ts";
import { findFlagRule, flagTable } from "./flag-table.ts";

/** One flag of a profile's `args` with its values. */
export interface RawFlag extends RawFlagPlace {
  readonly args: readonly string[];
  readonly match: KnownFlag;
}

interface RawFlagPlace {
  /** For people: `args[2]`, `args.cache-reuse`. */
  readonly key: string;
  /** For `Profile.at`. */
  readonly path: readonly (string | number)[];
}

/** A flag as it was written, before it is known whether the build has it. */
interface WrittenFlag extends RawFlagPlace {
  readonly word: string;
  readonly values: readonly string[];
  /** How to write a value for it. */
  readonly howToAdd: string;
}

/** What became of a profile's `args`. */
interface CheckedRawArgs {
  readonly flags: RawFlag[];
  /** Flags that only the server has, in a rendering for llama-cli. */
  readonly notes: { readonly key: string; readonly reason: string }[];
  /** Each at its place in the profile. */
  readonly problems: Problem[];
}

/** Reads a profile's `args` as this build would, and checks them against it and against the profile's own keys. */
export function checkRawArgs(profile: Profile, source: RenderInput): CheckedRawArgs {
  const { args } = profile.values;
  const { catalogue } = source;
  const checked: CheckedRawArgs = { flags: [], notes: [], problems: [] };
  for (const flag of Array.isArray(args) ? readList(args, catalogue) : readMap(args, catalogue)) {
    const { key, path, word, values } = flag;
    const match = catalogue.find(word);
    if (isForServer(word, source)) {
      checked.notes.push({ key, reason: `llama-cli has no ${word}` });
      continue;
    }
    const fault = match === undefined ? explainUnknown(word, source) : findFault(flag, match, source);
    if (fault !== undefined) checked.problems.push({ ...fault, at: profile.at(...path) });
    else if (match !== undefined) checked.flags.push({ key, path, args: [match.name, ...values], match });
  }
  return checked;
}

function readList(args: readonly string[], catalogue: FlagCatalogue): WrittenFlag[] {
  const flags: WrittenFlag[] = [];
  for (let index = 0; index < args.length;) {
    const word = args[index] ?? "";
    const match = catalogue.find(word);
    const values = match === undefined ? looseValues(args, index) : flagValues(args, index, match, catalogue);
    flags.push({
      key: `args[${index}]`,
      path: ["args", index],
      word,
      values,
      howToAdd: "write the value as the next item",
    });
    index += 1 + values.length;
  }
  return flags;
}

type RawMap = Exclude<Profile["values"]["args"], readonly string[]>;

/**
 * `true` is a flag without a value; `false` one that is not passed, so that a profile can put aside what it extends.
 */
function readMap(args: RawMap, catalogue: FlagCatalogue): WrittenFlag[] {
  return Object.entries(args).flatMap(([name, value]) => {
    if (value === false) return [];
    const values = value === true ? [] : [value].flat().map(String);
    const word = withDashes(name, catalogue);
    return [
      { key: `args.${name}`, path: ["args", name], word, values, howToAdd: `write it behind the name: "${name}: …"` },
    ];
  });
}

/** In a map a flag can be written by its bare name. */
function withDashes(name: string, catalogue: FlagCatalogue): string {
  if (name.startsWith("-")) return name;
  return !catalogue.has(`--${name}`) && catalogue.has(`-${name}`) ? `-${name}` : `--${name}`;
}

/** A raw flag is written for llama-server; whether that build has it is for the server's rendering to say. */
function isForServer(word: string, { program, catalogue }: RenderInput): boolean {
  const unknown = !catalogue.has(word) && catalogue.removedHint(word) === undefined;
  const rule = findFlagRule([word]);
  return program === "llama-cli" && unknown && word.startsWith("-") && (rule === undefined || rule.serverOnly === true);
}

/** The values behind a known flag: as many as it takes, but never a flag that the build knows. */
function flagValues(args: readonly string[], index: number, { entry }: KnownFlag, catalogue: FlagCatalogue): string[] {
  const behind = args.slice(index + 1, index + 1 + entry.hints.length);
  const stop = behind.findIndex((word) => catalogue.has(word));
  return stop < 0 ? behind : behind.slice(0, stop);
}

/** What seems to belong to an unknown flag, so that it is not reported as well. */
function looseValues(args: readonly string[], index: number): string[] {
  const behind = args.slice(index + 1);
  const stop = behind.findIndex((word) => /^-{1,2}[A-Za-z]/.test(word));
  return stop < 0 ? behind : behind.slice(0, stop);
}

function explainUnknown(word: string, source: RenderInput): Problem {
  const { catalogue } = source;
  const rule = findFlagRule([word]);
  if (rule !== undefined) return coveredBy(word, rule);
  const replacement = catalogue.removedHint(word);
  if (replacement !== undefined) {
    const fix = replacement === "" ? "remove it" : `use ${replacement}`;
    return { message: `"${word}" has been removed from llama.cpp ${catalogue.version}`, fix };
  }
  const [name = word] = word.split(/[= ]/, 1);
  const match = name === word ? undefined : catalogue.find(name);
  if (match !== undefined) return findConflict(name, match, source) ?? explainJoined(word, name);
  if (!word.startsWith("-"))
    return { message: `"${name}" is not a flag`, fix: "write each flag and each value as an item of its own" };
  const near = catalogue.closest(name);
  const fix = near === undefined ? "remove it" : `did you mean "${near}"?`;
  // What stands behind the name may be a secret.
  return { message: `"${name}" is unknown to llama.cpp ${catalogue.version}`, fix };
}

function explainJoined(word: string, name: string): Problem {
  const value = word.slice(name.length + 1);
  return {
    message: `"${word}" holds a flag and its value in one`,
    fix: `write them as two items: "${name}", "${value}"`,
  };
}

function findFault(
  { word, values, howToAdd }: WrittenFlag,
  match: KnownFlag,
  source: RenderInput,
): Problem | undefined {
  const { entry } = match;
  const conflict = findConflict(word, match, source);
  if (conflict !== undefined) return conflict;
  if (values.length < entry.hints.length) {
    const lacking = entry.hints.slice(values.length).join(" ");
    return { message: `"${word}" lacks its value (${lacking})`, fix: howToAdd };
  }
  if (values.length > entry.hints.length) {
    const takes = entry.hints.length === 0 ? "no value" : entry.hints.join(" ");
    return {
      message: `"${word}" takes ${takes}, not ${values.length} values`,
      fix: entry.hints.length === 0 ? "write true" : `write ${takes}`,
    };
  }
  const [value] = values;
  if (value === undefined || allows(match, value)) return undefined;
  return {
    message: `"${word}" does not take "${value}"`,
    fix: `llama.cpp ${source.catalogue.version} takes ${entry.choices?.join(", ")}`,
  };
}

/** Why a known flag is not for raw args, whatever its value. */
function findConflict(word: string, match: KnownFlag, source: RenderInput): Problem | undefined {
  const { entry } = match;
  const names = [...entry.names, ...entry.negations];
  const rule = findFlagRule(names);
  if (rule !== undefined && (rule.allowedInRawArgs !== true || rule.render(source) !== undefined))
    return coveredBy(word, rule);
  const sharing = flagTable.find((other) => usesShared(other, names, source));
  if (sharing !== undefined) return coveredBy(word, sharing);
  const owner = ownedFlags.find(({ flags }) => flags.some((flag) => names.includes(flag)));
  if (owner !== undefined && !match.negated) return { message: `"${word}" ${owner.why}`, fix: owner.fix };
  if (!match.negated && names.some((name) => secretFlag.test(name)))
    return {
      message: `"${word}" shows a secret to every user of this machine`,
      fix: "remove it; the key env can hold secrets",
    };
  if (entry.help.includes("can download weights"))
    return { message: `"${word}" chooses a model of its own`, fix: "name the model in the key model" };
  return undefined;
}

function usesShared(rule: FlagRule, names: readonly string[], source: RenderInput): boolean {
  if (!rule.shared?.some((flag) => names.includes(flag))) return false;
  const outcome = rule.render(source);
  return outcome?.kind === "flags" && outcome.args.some((arg) => names.includes(arg));
}

function coveredBy(word: string, { key }: FlagRule): Problem {
  return { message: `"${word}" says what the key ${key} says`, fix: `set ${key} instead` };
}
