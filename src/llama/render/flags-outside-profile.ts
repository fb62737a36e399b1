import type { LlamaConfigFile } from "../ask/llama-config-files.ts";
import type { FlagCatalogue } from "../ask/flag-catalogue.ts";
import type { FlagEntry } from "../ask/help-text.ts";
import { findFlagRule } from "./flag-table.ts";

/**
 * Says which variables of the caller are flags to this build and do not reach it: who set them expects them to count.
 * @param env The environment of the child, which is not told about what it keeps.
 */
export function describeDroppedVariables(
  own: NodeJS.ProcessEnv,
  env: Readonly<Record<string, string>>,
  catalogue: FlagCatalogue,
): string[] {
  const flags = new Map(
    catalogue.entries.flatMap((entry) => (entry.env === undefined ? [] : [[entry.env, entry] as const])),
  );
  // A token is for fetching models, which llama.cpp is not asked to do.
  const isFlag = (name: string) => name.startsWith("LLAMA_ARG_") || (flags.has(name) && name !== "HF_TOKEN");
  const dropped = Object.keys(own).filter((name) => own[name] !== undefined && env[name] === undefined && isFlag(name));
  if (dropped.length === 0) return [];
  const named = dropped.toSorted().map((name) => {
    const key = keyOf(flags.get(name));
    return key === undefined ? name : `${name} (${key})`;
  });
  return [`flags in your environment do not reach the server, set keys or args instead: ${named.join(", ")}`];
}

/**
 * Says what llama.cpp's own config files do to a server with this command line.
 * @param args The command line; what it says wins.
 */
export function describeConfigFiles(
  configs: readonly LlamaConfigFile[],
  args: readonly string[],
  catalogue: FlagCatalogue,
): string[] {
  return configs.map(({ path, settings }) => {
    const isSaid = (setting: string) => spellings(findSetting(setting, catalogue)).some((name) => args.includes(name));
    const applying = settings.filter((setting) => !isSaid(setting));
    const beaten = settings.filter(isSaid);
    const applies = applying.length === 0 ? "nothing in it applies" : `${applying.join(", ")} in it applies too`;
    return `llama.cpp itself reads ${path}: ${applies}${beaten.length === 0 ? "" : `; flags of the profile win over ${beaten.join(", ")}`}`;
  });
}

/** A setting is a flag without its dashes, or the name of its variable. */
function findSetting(setting: string, catalogue: FlagCatalogue): FlagEntry | undefined {
  return (
    catalogue.findFirst([`--${setting}`, `-${setting}`, setting])?.entry ??
    catalogue.entries.find((entry) => entry.env === setting.toUpperCase())
  );
}

function spellings(entry: FlagEntry | undefined): string[] {
  return entry === undefined ? [] : [...entry.names, ...entry.negations];
}

function keyOf(entry: FlagEntry | undefined): string | undefined {
  return findFlagRule(spellings(entry))?.key;
}
