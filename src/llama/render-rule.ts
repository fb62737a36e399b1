import type { ProfileValues } from "../profiles/schema.ts";
import type { FlagCatalogue, FlagMatch } from "./flag-catalogue.ts";

/** The model files to name on the command line, absolute; first shards of split sets. */
export interface RenderModels {
  readonly target: string;
  /** Needed when the profile has `draft.model` and drafting is not off. */
  readonly draft?: string;
  /** Why drafting is off although the profile asks for it. */
  readonly draftingOff?: string;
}

/** The programs of llama.cpp that a profile can be said to. */
export type Program = "llama-server" | "llama-cli";

/** What a rule renders from. */
export interface Source {
  /** Whose flags the catalogue holds. */
  readonly program: Program;
  readonly values: ProfileValues;
  readonly models: RenderModels;
  readonly catalogue: FlagCatalogue;
}

/** What becomes of one key on one build. */
export type Outcome =
  | { readonly kind: "flags"; readonly args: readonly string[]; readonly note?: string }
  /** Nothing is passed, and that is right or bearable: `reason` says why. */
  | { readonly kind: "left-out"; readonly reason: string }
  | { readonly kind: "impossible"; readonly message: string; readonly fix: string };

/** How one profile key becomes flags. */
export interface Rule {
  readonly key: string;
  /** Every flag that says what the key says, over all builds, newest first. Raw `args` may not use them. */
  readonly flags: readonly string[];
  /** Flags that the rule can use but that can also say more; raw `args` may use them where this rule did not. */
  readonly shared?: readonly string[];
  /** About requests of others, which llama-cli does not take. */
  readonly serverOnly?: true;
  /** @returns undefined when the profile does not set the key. */
  readonly render: (source: Source) => Outcome | undefined;
}

/** Reads a key's value as llama.cpp writes it; undefined when the profile does not set it. */
export type ReadValue = (values: ProfileValues) => string | undefined;

/** A key whose value goes behind a flag unchanged; refused by builds that have none of the flags. */
export function valueRule(key: string, flags: readonly string[], read: ReadValue): Rule {
  return {
    key,
    flags,
    render: ({ values, catalogue }) => {
      const value = read(values);
      return value === undefined ? undefined : passValue(catalogue, key, flags, value);
    },
  };
}

/** A flag without a value that only `true` passes: what it turns on is off unless told. */
export function switchRule(key: string, flags: readonly string[], read: (values: ProfileValues) => boolean | undefined): Rule {
  return {
    key,
    flags,
    render: ({ values, catalogue }) => {
      if (read(values) !== true) return undefined;
      const match = catalogue.findFirst(flags);
      return match === undefined ? noFlag(catalogue, key) : passed([match.name]);
    },
  };
}

/** Says that a rule is about requests of others. */
export function serverOnly(rule: Rule): Rule {
  return { ...rule, serverOnly: true };
}

/** Passes a value behind the first of the flags that the build has, when the build lists no values or this one among them. */
export function passValue(catalogue: FlagCatalogue, key: string, flags: readonly string[], value: string): Outcome {
  const match = catalogue.findFirst(flags);
  if (match === undefined || match.entry.hints.length !== 1) return noFlag(catalogue, key);
  return allows(match, value)
    ? passed([match.name, value])
    : impossible(`${key} "${value}" is not known to llama.cpp ${catalogue.version}`, `it takes ${match.entry.choices?.join(", ")}`);
}

/** Whether a build that lists a flag's values lists this one; `true`, `1` … are other words for `on` (`is_truthy` in common/arg.cpp). */
export function allows({ entry }: FlagMatch, value: string): boolean {
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

export function passed(args: readonly string[], note?: string): Outcome {
  return { kind: "flags", args, ...(note === undefined ? {} : { note }) };
}

export function leftOut(reason: string): Outcome {
  return { kind: "left-out", reason };
}

export function impossible(message: string, fix: string): Outcome {
  return { kind: "impossible", message, fix };
}

export function noFlag(catalogue: FlagCatalogue, key: string): Outcome {
  return impossible(`llama.cpp ${catalogue.version} has no flag for ${key}`, "remove the key, or use a build that has one");
}

/** llama.cpp's own way to write a number with a fraction: `1.0`, `0.95`. */
export function formatFloat(value: number): string {
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}
