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
  /** What had to be fetched beside the models, by its key: `mmproj`, `lora.0`. */
  readonly sidecars?: ReadonlyMap<string, string>;
}

/** The programs of llama.cpp that a profile can be said to. */
export type Program = "llama-server" | "llama-cli";

/** What a rule renders from. */
export interface RenderInput {
  /** Whose flags the catalogue holds. */
  readonly program: Program;
  readonly values: ProfileValues;
  readonly models: ModelPaths;
  readonly catalogue: FlagCatalogue;
}

/** What becomes of one key on one build. */
export type RenderOutcome =
  | { readonly kind: "flags"; readonly args: readonly string[]; readonly note?: string }
  /** Nothing is passed, and that is right or bearable: `reason` says why. */
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
   * Every flag that says what the key says, over all builds, newest first. Raw `args` may not use them, unless
   * `allowedInRawArgs`.
   */
  readonly flags: readonly string[];
  /** llmctl itself asks nothing of the value: raw `args` may use the flags of a key that the profile does not set. */
  readonly allowedInRawArgs?: true;
  /** Flags that the rule can use but that can also say more; raw `args` may use them where this rule did not. */
  readonly shared?: readonly string[];
  /** About requests of others, which llama-cli does not take. */
  readonly serverOnly?: true;
  /** @returns undefined when the profile does not set the key. */
  readonly render: (source: RenderInput) => RenderOutcome | undefined;
}

/** Reads a key's value as llama.cpp writes it; undefined when the profile does not set it. */
export type ReadValue = (values: ProfileValues) => string | undefined;

/** A key whose value goes behind a flag unchanged; refused by builds that have none of the flags. */
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

/** A key whose whole number goes behind a flag. */
export function integerRule(
  key: string,
  flags: readonly string[],
  read: (values: ProfileValues) => number | undefined,
): FlagRule {
  return valueRule(key, flags, (values) => read(values)?.toString());
}

/** A key whose number is written with a fraction, as llama.cpp writes it. */
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

/** A rule for what some builds lack, and a server does without: left out there with this reason. */
export function unlessLacking(reason: string, rule: FlagRule): FlagRule {
  return {
    ...rule,
    render: (source) => {
      const outcome = rule.render(source);
      return outcome !== undefined && source.catalogue.findFirst(rule.flags) === undefined ? leftOut(reason) : outcome;
    },
  };
}

/** Flags that turn something on, and those that turn it off. */
interface SwitchFlags {
  readonly on: readonly string[];
  readonly off: readonly string[];
}

/** A key with a flag for each of its values. A build that has only one of the two does the other unless told. */
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
        opposite === undefined ? "this build has no such thing" : `${value ? "on" : "off"} is this build's default`,
      );
    },
  };
}

/** A flag without a value: what it turns on is off unless told. */
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

/** The path of what lies beside the models. */
export function sidecarPath(models: ModelPaths, key: string, ref: ModelRef): string {
  const path = typeof ref === "string" ? ref : models.sidecars?.get(key);
  if (path === undefined) throw new Error(`a profile with ${key} is rendered without its file`);
  return path;
}

/** Says that nothing in llmctl depends on a rule. */
export function allowInRawArgs(rule: FlagRule): FlagRule {
  return { ...rule, allowedInRawArgs: true };
}

/** Says that a rule is about requests of others. */
export function serverOnly(rule: FlagRule): FlagRule {
  return { ...rule, serverOnly: true };
}

/**
 * Passes a value behind the first of the flags that the build has, when the build lists no values or this one among
 * them.
 */
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
 * Whether a build that lists a flag's values lists this one; `true`, `1` … are other words for `on` (`is_truthy` in
 * common/arg.cpp).
 */
export function allows({ entry }: KnownFlag, value: string): boolean {
  if (entry.choices === undefined) return true;
  const parts = entry.list === true ? value.split(",") : [value];
  return parts.every((part) => entry.choices?.includes(part) || entry.choices?.includes(plainWords[part] ?? part));
}

const plainWords: Readonly<Record<string, string>> = {
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

/** llama.cpp's own way to write a number with a fraction: `1.0`, `0.95`. */
export function formatFloat(value: number): string {
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}
