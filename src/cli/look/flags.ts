import { LlmctlError } from "../../base/errors.ts";
import { findPaths } from "../../base/files/paths.ts";
import { printable, printableLine, printableSentence } from "../../base/text/printable.ts";
import { askBuild } from "../../llama/ask/asked-build.ts";
import { childEnvironment } from "../../llama/ask/child-env.ts";
import type { FlagCatalogue } from "../../llama/ask/flag-catalogue.ts";
import type { FlagEntry } from "../../llama/ask/help-text.ts";
import { findFlagRule } from "../../llama/render/flag-table.ts";
import { readBuildOption } from "../options/build-option.ts";
import { jsonText } from "../screen/json-text.ts";
import { paint } from "../screen/paint.ts";
import { print } from "../screen/print.ts";

interface FlagsCommandOptions {
  /** An installed build, or the path of a llama-server; the current build unless told. */
  readonly build?: string;
  /** The flags of llama-cli instead of the server's. */
  readonly cli: boolean;
  readonly json: boolean;
}

/** A flag of a build, and the profile key of the same meaning. */
interface ListedFlag extends FlagEntry {
  readonly key: string | undefined;
}

/**
 * Prints the flags of a build; with a word, only the flags that mention it, with all that the build says about them.
 * JSON: `{ program, build, version, flags }`, each flag as `FlagEntry` with `key`.
 * @throws LlmctlError `flag-unknown` when no flag mentions the word.
 */
export async function flags(word: string | undefined, { build, cli, json }: FlagsCommandOptions): Promise<number> {
  const paths = findPaths();
  const at = build === undefined ? "the current build" : "--build";
  const program = cli ? "llama-cli" : "llama-server";
  const env = childEnvironment(process.env, {}, () => at);
  const { label, catalogue } = await askBuild({ llama: readBuildOption(build), at, program, paths, env });
  const all = catalogue.entries.map((entry) => ({
    ...entry,
    key: findFlagRule([...entry.names, ...entry.negations])?.key,
  }));
  const listed = word === undefined ? all : searchFlags(all, word);
  if (listed.length === 0) throw unknownFlag(word ?? "", catalogue);
  const head = { program, build: label, version: catalogue.version };
  if (json) print(jsonText({ ...head, flags: listed }));
  else print(describeFlags(`${head.program} of ${head.build}: ${head.version}`, listed, word === undefined));
  return 0;
}

function unknownFlag(word: string, catalogue: FlagCatalogue): LlmctlError {
  const near = catalogue.closest(word.startsWith("-") ? word : `--${word}`);
  return new LlmctlError("flag-unknown", `no flag of llama.cpp ${catalogue.version} mentions "${word}"`, {
    exit: "failed",
    ...(near === undefined ? {} : { fix: `did you mean "${near}"?` }),
  });
}

/**
 * A word with dashes is a flag's name, or its beginning; any other is looked for in names, keys, variables and help.
 */
export function searchFlags(all: readonly ListedFlag[], word: string): ListedFlag[] {
  const wanted = word.toLowerCase().replaceAll("_", "-");
  const spellings = ({ names, negations }: ListedFlag) => [...names, ...negations];
  const exact = all.filter((flag) => spellings(flag).includes(word.startsWith("--") ? wanted : word));
  if (exact.length > 0) return exact;
  if (wanted.startsWith("-")) return all.filter((flag) => spellings(flag).some((name) => name.startsWith(wanted)));
  const texts = ({ key = "", env = "", help, ...flag }: ListedFlag) => [
    ...flag.names,
    ...flag.negations,
    key,
    env,
    help,
  ];
  return all.filter((flag) => texts(flag).some((text) => text.toLowerCase().replaceAll("_", "-").includes(wanted)));
}

/** @param brief One line for each flag, instead of all that is known about it. */
export function describeFlags(title: string, listed: readonly ListedFlag[], brief: boolean): string {
  const sections = [...new Set(listed.map(({ section }) => section))];
  const blocks = sections.map((section) => {
    const own = listed.filter((flag) => flag.section === section).map(brief ? describeBriefly : describeFully);
    return `\n${paint("bold", printableLine(section), process.stdout)}\n${own.join("")}`;
  });
  return `# ${printableSentence(title)}\n${blocks.join("")}`;
}

function describeBriefly(flag: ListedFlag): string {
  const state =
    flag.removed === undefined ? "" : ` (removed${flag.removed === "" ? "" : `, use ${printableLine(flag.removed)}`})`;
  return `  ${headOf(flag)}${flag.key === undefined ? "" : paint("dim", `  # ${flag.key}`, process.stdout)}${state}\n`;
}

function headOf({ names, negations, hints }: FlagEntry): string {
  return printableLine([[...names, ...negations].join(", "), ...hints].join(" "));
}

function describeFully(flag: ListedFlag): string {
  const facts = [
    flag.key === undefined ? undefined : `key of a profile: ${flag.key}`,
    flag.choices === undefined
      ? undefined
      : `takes: ${flag.choices.join(", ")}${flag.list === true ? " (several, with commas)" : ""}`,
    flag.default === undefined ? undefined : `default: ${flag.default}`,
    flag.env === undefined ? undefined : `variable: ${flag.env}`,
    flag.deprecated === true ? "deprecated" : undefined,
  ].filter((fact) => fact !== undefined);
  const help =
    flag.removed === undefined
      ? printable(flag.help).split("\n")
      : [`removed${flag.removed === "" ? "" : `, use ${printableLine(flag.removed)}`}`];
  const body = [...help, ...facts.map((fact) => paint("dim", printableSentence(fact), process.stdout))];
  return `  ${headOf(flag)}\n${body.map((line) => `      ${line}\n`).join("")}`;
}
