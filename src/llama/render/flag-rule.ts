import type { Fix } from "../../base/fix.ts";
import type { ModelRef, ProfileValues } from "../../profiles/schema/schema.ts";
import type { FlagCatalogue, KnownFlag } from "../ask/flag-catalogue.ts";

/** The model files to name on the command line, absolute; first shards of split sets. */
export interface ModelPaths {
  readonly target: string;
  /** Needed when the profile has `draft.model` and drafting is not off. */
  readonly draft?: string;
  /** Why drafting is off although the profile asks for it. */
  readonly draftingOff?: string;
  /** The sidecar files, by key: `mmproj`, `lora.0`. */
  readonly sidecars?: ReadonlyMap<string, string>;
}

/** The programs of llama.cpp that a profile can be rendered for. */
export type Program = "llama-server" | "llama-cli";

/** The input of every rule. */
export interface RenderInput {
  /** The program that the catalogue describes. */
  readonly program: Program;
  readonly values: ProfileValues;
  readonly models: ModelPaths;
  readonly catalogue: FlagCatalogue;
}

/** The result for one key on one build. */
export type RenderOutcome =
  | { readonly kind: "flags"; readonly args: readonly string[]; readonly note?: string }
  /** Nothing is passed, for this reason, and the server works as the profile wants or nearly so. */
  | { readonly kind: "left-out"; readonly reason: string }
  | { readonly kind: "impossible"; readonly message: string; readonly fix: Fix };

/** One flag with its values, and the profile key that it came from. */
export interface RenderedFlag {
  /** For people: `draft.n_max`, `args[2]`, `args.no-repack`. */
  readonly key: string;
  /** For `Profile.at`. */
  readonly path: readonly (string | number)[];
  readonly args: readonly string[];
  readonly note?: string;
}

/** How one profile key becomes flags. */
export interface FlagRule {
  readonly key: string;
  /**
   * Every flag with the meaning of the key, over all builds, newest first. Raw `args` may not use them, unless
   * `allowedInRawArgs`.
   */
  readonly flags: readonly string[];
  /** llmctl itself does not read the value, so raw `args` may use the flags when the profile does not set the key. */
  readonly allowedInRawArgs?: true;
  /** Flags that the rule can use and that have other meanings, too: raw `args` may use them when this rule did not. */
  readonly shared?: readonly string[];
  /** The key is about clients and their requests, which llama-cli does not have. */
  readonly serverOnly?: true;
  /** @returns undefined when the profile does not set the key. */
  readonly render: (source: RenderInput) => RenderOutcome | undefined;
}

/** Reads a key's value in llama.cpp's notation; undefined when the profile does not set it. */
export type ReadValue = (values: ProfileValues) => string | undefined;

/** A key whose value follows a flag unchanged; impossible on builds that have none of the flags. */
export function valueRule(key: string, flags: readonly string[], read: ReadValue): FlagRule {
  return {
    key,
    flags,
    render: ({ values, catalogue }) => {
      const value = read(values);
      return value === undefined ? undefined : passValue(catalogue, key, flags, value);
    },
  };
}

/** A key whose whole number follows a flag. */
export function integerRule(
  key: string,
  flags: readonly string[],
  read: (values: ProfileValues) => number | undefined,
): FlagRule {
  return valueRule(key, flags, (values) => read(values)?.toString());
}

/** A key whose number is written with a fraction, in llama.cpp's notation. */
export function floatRule(
  key: string,
  flags: readonly string[],
  read: (values: ProfileValues) => number | undefined,
): FlagRule {
  return valueRule(key, flags, (values) => {
    const value = read(values);
    return value === undefined ? undefined : formatFloat(value);
  });
}

/** A rule for a flag that a server works without: builds that lack it leave the key out, for this reason. */
export function unlessLacking(reason: string, rule: FlagRule): FlagRule {
  return {
    ...rule,
    render: (source) => {
      const outcome = rule.render(source);
      return outcome !== undefined && source.catalogue.findFirst(rule.flags) === undefined ? leftOut(reason) : outcome;
    },
  };
}

/** The flags that turn a feature on, and those that turn it off. */
interface SwitchFlags {
  readonly on: readonly string[];
  readonly off: readonly string[];
}

/** A key with one flag for "on" and one for "off". The value without a flag is the build's default. */
export function pairRule(
  key: string,
  { on, off }: SwitchFlags,
  read: (values: ProfileValues) => boolean | undefined,
): FlagRule {
  return {
    key,
    flags: [...on, ...off],
    render: ({ values, catalogue }) => {
      const value = read(values);
      if (value === undefined) return undefined;
      const match = catalogue.findFirst(value ? on : off);
      if (match !== undefined) return passed([match.name]);
      const opposite = catalogue.findFirst(value ? off : on);
      if (opposite === undefined && value) return noFlag(catalogue, key);
      return leftOut(
        opposite === undefined ? "this build has no such feature" : `${value ? "on" : "off"} is this build's default`,
      );
    },
  };
}

/** A flag without a value, for a feature that is off by default. */
export function switchRule(
  key: string,
  flags: readonly string[],
  read: (values: ProfileValues) => boolean | undefined,
): FlagRule {
  return {
    key,
    flags,
    render: ({ values, catalogue }) => {
      const value = read(values);
      if (value === undefined) return undefined;
      if (!value) return leftOut("off is llama.cpp's default");
      const match = catalogue.findFirst(flags);
      return match === undefined ? noFlag(catalogue, key) : passed([match.name]);
    },
  };
}

/** The path of a sidecar file. */
export function sidecarPath(models: ModelPaths, key: string, ref: ModelRef): string {
  const path = typeof ref === "string" ? ref : models.sidecars?.get(key);
  if (path === undefined) throw new Error(`a profile with ${key} is rendered without its file`);
  return path;
}

/** Marks a rule whose flags raw `args` may use, because llmctl itself does not read the value. */
export function allowInRawArgs(rule: FlagRule): FlagRule {
  return { ...rule, allowedInRawArgs: true };
}

/** Marks a rule that is about clients and their requests. */
export function serverOnly(rule: FlagRule): FlagRule {
  return { ...rule, serverOnly: true };
}

/** Passes a value with the first flag that the build has, unless the build lists the allowed values without this one. */
export function passValue(
  catalogue: FlagCatalogue,
  key: string,
  flags: readonly string[],
  value: string,
): RenderOutcome {
  const match = catalogue.findFirst(flags);
  if (match === undefined || match.entry.hints.length !== 1) return noFlag(catalogue, key);
  return allows(match, value)
    ? passed([match.name, value])
    : impossible(
        `${key} "${value}" is not known to llama.cpp ${catalogue.version}`,
        `it takes ${match.entry.choices?.join(", ")}`,
      );
}

/**
 * Whether a build allows a value: its help lists no values, or lists this one. `true`, `1` … count as `on`, as in
 * `is_truthy` of common/arg.cpp.
 */
export function allows({ entry }: KnownFlag, value: string): boolean {
  if (entry.choices === undefined) return true;
  const parts = entry.list === true ? value.split(",") : [value];
  return parts.every((part) => entry.choices?.includes(part) || entry.choices?.includes(switchWords[part] ?? part));
}

const switchWords: Readonly<Record<string, string>> = {
  enabled: "on",
  true: "on",
  "1": "on",
  disabled: "off",
  false: "off",
  "0": "off",
  "-1": "auto",
};

export function passed(args: readonly string[], note?: string): RenderOutcome {
  return { kind: "flags", args, ...(note === undefined ? {} : { note }) };
}

export function leftOut(reason: string): RenderOutcome {
  return { kind: "left-out", reason };
}

export function impossible(message: string, fix: Fix): RenderOutcome {
  return { kind: "impossible", message, fix };
}

export function noFlag(catalogue: FlagCatalogue, key: string): RenderOutcome {
  return impossible(
    `llama.cpp ${catalogue.version} has no flag for ${key}`,
    "remove the key, or use a build that has one",
  );
}

/** A number with a fraction in llama.cpp's notation: `1.0`, `0.95`. */
export function formatFloat(value: number): string {
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}
