import type { Problem } from "../base/errors.ts";
import type { Profile } from "../profiles/schema.ts";
import type { FlagCatalogue, FlagMatch } from "./flag-catalogue.ts";
import { allows, type Rule, type Source } from "./render-rule.ts";
import { renderTable } from "./render-table.ts";

/** One flag of a profile's `args` with its values. */
export interface RawFlag {
  /** Where it stands in the list. */
  readonly index: number;
  readonly args: readonly string[];
  readonly match: FlagMatch;
}

/** Flags that llmctl decides about, and what to do instead. */
const owned: readonly { readonly flags: readonly string[]; readonly why: string; readonly fix: string }[] = [
  {
    flags: ["--model-url", "--hf-repo", "--hf-file", "--docker-repo", "--spec-draft-hf", "--hf-repo-draft"],
    why: "names a model, which llmctl finds and checks by itself",
    fix: "write model: { hf: OWNER/REPO, quant: … } (the same under draft)",
  },
  {
    flags: ["--api-key"],
    why: "shows the key to every user of this machine",
    fix: "put it in a file and name that in server.api_key_file",
  },
  { flags: ["--reuse-port"], why: "lets a second server take the same port unseen", fix: "remove it" },
  { flags: ["--log-disable", "--log-jsonl"], why: "hides the log that llmctl reads", fix: "remove it; see the key log" },
  {
    flags: ["--ssl-key-file", "--ssl-cert-file", "--api-prefix"],
    why: "moves the server away from where llmctl asks for its health",
    fix: "remove it, and put a proxy before the server",
  },
  {
    flags: ["--help", "--version", "--license", "--cache-list", "--completion-bash", "--list-devices"],
    why: "makes the program print something and end",
    fix: "remove it",
  },
];

/** What became of a profile's `args`. */
interface CheckedRawArgs {
  readonly flags: RawFlag[];
  /** Flags that only the server has, in a rendering for llama-cli. */
  readonly notes: { readonly key: string; readonly reason: string }[];
  /** Each at its place in the list. */
  readonly problems: Problem[];
}

/** Reads a profile's `args` as this build would, and checks them against it and against the profile's own keys. */
export function checkRawArgs(profile: Profile, source: Source): CheckedRawArgs {
  const { args } = profile.values;
  const flags: RawFlag[] = [];
  const notes: CheckedRawArgs["notes"] = [];
  const problems: Problem[] = [];
  for (let index = 0; index < args.length;) {
    const word = args[index] ?? "";
    const match = source.catalogue.find(word);
    const values = match === undefined ? looseValues(args, index) : flagValues(args, index, match, source.catalogue);
    if (isForServer(word, source)) {
      notes.push({ key: `args[${index}]`, reason: `llama-cli has no ${word}` });
      index += 1 + values.length;
      continue;
    }
    const fault = match === undefined ? explainUnknown(word, source) : findFault(word, match, values, source);
    if (fault !== undefined) problems.push({ ...fault, at: profile.at("args", index) });
    else if (match !== undefined) flags.push({ index, args: [match.name, ...values], match });
    index += 1 + values.length;
  }
  return { flags, notes, problems };
}

/** A raw flag is written for llama-server; whether that build has it is for the server's rendering to say. */
function isForServer(word: string, { program, catalogue }: Source): boolean {
  const unknown = !catalogue.has(word) && catalogue.removedHint(word) === undefined;
  return program === "llama-cli" && unknown && word.startsWith("-") && findRule([word]) === undefined;
}

/** The values behind a known flag: as many as it takes, but never a flag that the build knows. */
function flagValues(args: readonly string[], index: number, { entry }: FlagMatch, catalogue: FlagCatalogue): string[] {
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

function explainUnknown(word: string, source: Source): Problem {
  const { catalogue } = source;
  const rule = findRule([word]);
  if (rule !== undefined) return coveredBy(word, rule);
  const replacement = catalogue.removedHint(word);
  if (replacement !== undefined) {
    const fix = replacement === "" ? "remove it" : `use ${replacement}`;
    return { message: `"${word}" has been removed from llama.cpp ${catalogue.version}`, fix };
  }
  const [name = word] = word.split(/[= ]/, 1);
  const match = name === word ? undefined : catalogue.find(name);
  if (match !== undefined) return findConflict(name, match, source) ?? explainJoined(word, name);
  if (!word.startsWith("-")) return { message: `"${word}" is not a flag`, fix: "write each flag and each value as an item of its own" };
  const near = catalogue.closest(word);
  const fix = word === "--rpc" ? "use a build made with -DGGML_RPC=ON" : near === undefined ? "remove it" : `did you mean "${near}"?`;
  return { message: `"${word}" is unknown to llama.cpp ${catalogue.version}`, fix };
}

function explainJoined(word: string, name: string): Problem {
  const value = word.slice(name.length + 1);
  return { message: `"${word}" holds a flag and its value in one`, fix: `write them as two items: "${name}", "${value}"` };
}

function findFault(word: string, match: FlagMatch, values: readonly string[], source: Source): Problem | undefined {
  const { entry } = match;
  const conflict = findConflict(word, match, source);
  if (conflict !== undefined) return conflict;
  if (values.length < entry.hints.length) {
    const lacking = entry.hints.slice(values.length).join(" ");
    return { message: `"${word}" lacks its value (${lacking})`, fix: "write the value as the next item" };
  }
  const [value] = values;
  if (value === undefined || allows(match, value)) return undefined;
  return { message: `"${word}" does not take "${value}"`, fix: `llama.cpp ${source.catalogue.version} takes ${entry.choices?.join(", ")}` };
}

/** Why a known flag is not for raw args, whatever its value. */
function findConflict(word: string, match: FlagMatch, source: Source): Problem | undefined {
  const { entry } = match;
  const names = [...entry.names, ...entry.negations];
  const rule = findRule(names) ?? renderTable.find((other) => usesShared(other, names, source));
  if (rule !== undefined) return coveredBy(word, rule);
  const owner = owned.find(({ flags }) => flags.some((flag) => names.includes(flag)));
  if (owner !== undefined && !match.negated) return { message: `"${word}" ${owner.why}`, fix: owner.fix };
  if (entry.help.includes("can download weights"))
    return { message: `"${word}" chooses a model of its own`, fix: "name the model in the key model" };
  return undefined;
}

/** The key that says what one of these flags says, on this build or another. */
function findRule(names: readonly string[]): Rule | undefined {
  return renderTable.find(({ flags }) => flags.some((flag) => names.includes(flag)));
}

function usesShared(rule: Rule, names: readonly string[], source: Source): boolean {
  if (!rule.shared?.some((flag) => names.includes(flag))) return false;
  const outcome = rule.render(source);
  return outcome?.kind === "flags" && outcome.args.some((arg) => names.includes(arg));
}

function coveredBy(word: string, { key }: Rule): Problem {
  return { message: `"${word}" says what the key ${key} says`, fix: `set ${key} instead` };
}
