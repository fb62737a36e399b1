import type { LlamaConfigFile } from "../ask/llama-config-files.ts";
import type { FlagCatalogue } from "../ask/flag-catalogue.ts";
import type { FlagEntry } from "../ask/help-text.ts";
import { findFlagRule } from "./flag-table.ts";

/**
 * The variables of the caller that this build would read as flags, but that the server does not inherit: whoever set
 * them expects an effect.
 * @param env The environment of the child; its variables are not reported.
 */
export function describeDroppedVariables(
  own: NodeJS.ProcessEnv,
  env: Readonly<Record<string, string>>,
  catalogue: FlagCatalogue,
): string[] {
  const flags = new Map(
    catalogue.entries.flatMap((entry) => (entry.env === undefined ? [] : [[entry.env, entry] as const])),
  );
  // HF_TOKEN is for fetching models, which llmctl does itself.
  const isFlag = (name: string) => name.startsWith("LLAMA_ARG_") || (flags.has(name) && name !== "HF_TOKEN");
  const dropped = Object.keys(own).filter((name) => own[name] !== undefined && env[name] === undefined && isFlag(name));
  if (dropped.length === 0) return [];
  const named = dropped.toSorted().map((name) => {
    const key = keyOf(flags.get(name));
    return key === undefined ? name : `${name} (${key})`;
  });
  return [
    `the server does not inherit these flags from your environment: ${named.join(", ")}; set keys or args instead`,
  ];
}

/**
 * The effect of llama.cpp's own config files on a server with this command line.
 * @param args The command line, which overrides the files.
 */
export function describeConfigFiles(
  configs: readonly LlamaConfigFile[],
  args: readonly string[],
  catalogue: FlagCatalogue,
): string[] {
  return configs.map(({ path, settings }) => {
    const isPassed = (setting: string) =>
      spellings(findSetting(setting, catalogue)).some((name) => args.includes(name));
    const applying = settings.filter((setting) => !isPassed(setting));
    const overridden = settings.filter(isPassed);
    const applies = applying.length === 0 ? "none of its settings applies" : `it also sets ${applying.join(", ")}`;
    const overrides = overridden.length === 0 ? "" : `; flags of the profile override ${overridden.join(", ")}`;
    return `llama.cpp itself reads ${path}: ${applies}${overrides}`;
  });
}

/** A setting is a flag without its dashes, or the name of the flag's variable. */
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
