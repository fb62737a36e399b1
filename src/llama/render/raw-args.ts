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

/** A flag as the profile has it, not yet looked up in the build's catalogue. */
interface WrittenFlag extends RawFlagPlace {
  readonly word: string;
  readonly values: readonly string[];
  /** How to add a value to it. */
  readonly howToAdd: string;
}

/** The result for a profile's `args`. */
interface CheckedRawArgs {
  readonly flags: RawFlag[];
  /** Flags that only the server has and a rendering for llama-cli leaves out. */
  readonly notes: { readonly key: string; readonly reason: string }[];
  /** Each at its place in the profile. */
  readonly problems: Problem[];
}

/** Parses a profile's `args` as this build does, and checks them against the build and the profile's own keys. */
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

/** `true` is a flag without a value. `false` removes a flag that the profile inherits with `extends`. */
function readMap(args: RawMap, catalogue: FlagCatalogue): WrittenFlag[] {
  return Object.entries(args).flatMap(([name, value]) => {
    if (value === false) return [];
    const values = value === true ? [] : [value].flat().map(String);
    const word = withDashes(name, catalogue);
    return [
      { key: `args.${name}`, path: ["args", name], word, values, howToAdd: `write it after the name: "${name}: …"` },
    ];
  });
}

/** In a map a flag may be written without its dashes. */
function withDashes(name: string, catalogue: FlagCatalogue): string {
  if (name.startsWith("-")) return name;
  return !catalogue.has(`--${name}`) && catalogue.has(`-${name}`) ? `-${name}` : `--${name}`;
}

/** Raw flags are for llama-server, so llama-cli leaves out one that it does not know; the server's rendering checks it. */
function isForServer(word: string, { program, catalogue }: RenderInput): boolean {
  const unknown = !catalogue.has(word) && catalogue.removedHint(word) === undefined;
  const rule = findFlagRule([word]);
  return program === "llama-cli" && unknown && word.startsWith("-") && (rule === undefined || rule.serverOnly === true);
}

/** The values after a known flag: as many as it takes, but never a flag that the build knows. */
function flagValues(args: readonly string[], index: number, { entry }: KnownFlag, catalogue: FlagCatalogue): string[] {
  const following = args.slice(index + 1, index + 1 + entry.hints.length);
  const stop = following.findIndex((word) => catalogue.has(word));
  return stop < 0 ? following : following.slice(0, stop);
}

/** The words that probably belong to an unknown flag: they are not reported as further unknown flags. */
function looseValues(args: readonly string[], index: number): string[] {
  const following = args.slice(index + 1);
  const stop = following.findIndex((word) => /^-{1,2}[A-Za-z]/.test(word));
  return stop < 0 ? following : following.slice(0, stop);
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
    return { message: `"${name}" is not a flag`, fix: "write each flag and each value as a separate item" };
  const near = catalogue.closest(name);
  const fix = near === undefined ? "remove it" : `did you mean "${near}"?`;
  // The message has only the name: a value after it may be a secret.
  return { message: `"${name}" is unknown to llama.cpp ${catalogue.version}`, fix };
}

function explainJoined(word: string, name: string): Problem {
  const value = word.slice(name.length + 1);
  return {
    message: `"${word}" is a flag and its value in one item`,
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

/** Why raw args may not use a known flag, whatever its value. */
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
    return { message: `"${word}" selects its own model`, fix: "name the model in the key model" };
  return undefined;
}

function usesShared(rule: FlagRule, names: readonly string[], source: RenderInput): boolean {
  if (!rule.shared?.some((flag) => names.includes(flag))) return false;
  const outcome = rule.render(source);
  return outcome?.kind === "flags" && outcome.args.some((arg) => names.includes(arg));
}

function coveredBy(word: string, { key }: FlagRule): Problem {
  return { message: `"${word}" has the same meaning as the key ${key}`, fix: `set ${key} instead` };
}
