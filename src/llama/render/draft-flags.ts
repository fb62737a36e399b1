import { needsDraftModel } from "../../profiles/rules/drafting-types.ts";
import { type DraftSettings, draftRule, splitTypes } from "./draft-flag-rule.ts";
import type { FlagCatalogue, KnownFlag } from "../ask/flag-catalogue.ts";
import { allNgramLengthFlags, ngramLengthFlags } from "./ngram-flags.ts";
import { formatFloat, impossible, leftOut, type RenderOutcome, passed, passValue, type FlagRule } from "./flag-rule.ts";

const modelFlags = ["--spec-draft-model", "--model-draft"];
/** The only draft rule with a note when drafting is off; the others render nothing then. */
export const draftModel: FlagRule = {
  key: "draft.model",
  flags: modelFlags,
  render({ values, models, catalogue }) {
    if (values.draft === undefined) return undefined;
    if (models.draftingOff !== undefined) return leftOut(`drafting is off: ${models.draftingOff}`);
    if (values.draft.model === undefined) return undefined;
    if (models.draft === undefined) throw new Error("a profile with draft.model is rendered without the draft's file");
    return passValue(catalogue, "draft.model", modelFlags, models.draft);
  },
};

/**
 * The type is always passed to a build that has the flag. Without it, builds since April 2026 load the draft model and
 * never use it, or guess a type from the file and abort. Earlier builds draft as soon as they have a draft model; their
 * `--spec-type`, if they have it, only adds n-gram types.
 */
export const draftType: FlagRule = draftRule({
  key: "draft.type",
  flags: ["--spec-type", "--spec-default"],
  render(draft, { catalogue }) {
    const types = splitTypes(draft);
    const contradiction = findContradiction(draft, types);
    if (contradiction !== undefined) return contradiction;
    const flag = catalogue.findFirst(["--spec-type"]);
    // When the help lists no types, all of the profile's are passed, and the build itself refuses unknown ones.
    const offered = flag === undefined ? [] : (flag.entry.choices ?? types);
    const toPass = types.filter((type) => type !== "draft-simple" || offered.includes(type));
    const unknown = toPass.filter((type) => !offered.includes(type));
    if (unknown.length > 0) return unknownTypes(unknown, ["draft-simple", ...offered], catalogue.version);
    if (flag === undefined || toPass.length === 0)
      return leftOut("not needed on this build: it drafts as soon as it has a draft model");
    if (toPass.length > 1 && takesOneType(flag)) return tooManyTypes(toPass, catalogue.version);
    return passed([flag.name, toPass.join(",")]);
  },
});

function findContradiction(draft: DraftSettings, types: readonly string[]): RenderOutcome | undefined {
  if (types.includes("none")) return impossible('draft.type "none" drafts nothing', "remove the key draft");
  if (draft.model === undefined && types.some(needsDraftModel)) {
    return impossible(`draft.type "${draft.type}" needs a draft model`, "set draft.model, or another draft.type");
  }
  if (draft.model !== undefined && !types.some((type) => type.startsWith("draft-"))) {
    return impossible(
      `draft.type "${draft.type}" does not use draft.model`,
      `write "${draft.type},draft-simple", or remove draft.model`,
    );
  }
  return undefined;
}

/** Until April 2026 a build drafts with a draft model and, beside it, one type of n-grams. */
function takesOneType({ entry }: KnownFlag): boolean {
  return entry.choices !== undefined && entry.list !== true;
}

function tooManyTypes(types: readonly string[], version: string): RenderOutcome {
  return impossible(
    `llama.cpp ${version} takes one drafting type besides draft-simple, not "${types.join(",")}"`,
    "write one of them, or use a newer build",
  );
}

function unknownTypes(unknown: readonly string[], offered: readonly string[], version: string): RenderOutcome {
  const known = [...new Set(offered)].filter((type) => type !== "none");
  return impossible(
    `draft.type "${unknown.join(",")}" is not known to llama.cpp ${version}`,
    `it knows ${known.join(", ")}`,
  );
}

/**
 * The defaults of a profile with a draft model. They are those of the builds until April 2026, which people tuned their
 * pairs with. Since then builds draft 3 tokens of any probability, and the same profile would draft differently.
 */
const simpleDefaults = { n_max: 16, n_min: undefined, p_min: 0.75 } as const;

type LengthKey = keyof typeof simpleDefaults;

/** The value for every build; undefined when the build's own default applies. */
export function wantedLength(draft: DraftSettings, key: LengthKey): number | undefined {
  return draft[key] ?? (splitTypes(draft).includes("draft-simple") ? simpleDefaults[key] : undefined);
}

interface FlagTarget {
  readonly catalogue: FlagCatalogue;
  readonly flags: readonly string[];
}

/** Passes the profile's value, unless it is the build's default. */
function passWanted(draft: DraftSettings, key: LengthKey, { catalogue, flags }: FlagTarget): RenderOutcome | undefined {
  const value = wantedLength(draft, key);
  const match = catalogue.findFirst(flags);
  const written = draft[key] !== undefined;
  if (value === undefined || (!written && match === undefined)) return undefined;
  const own = match === undefined ? undefined : defaultOf(match);
  if (value === own) return written ? leftOut(`${value} is this build's default`) : undefined;
  const outcome = passValue(catalogue, `draft.${key}`, flags, key === "p_min" ? formatFloat(value) : String(value));
  return written || outcome.kind !== "flags"
    ? outcome
    : passed(outcome.args, "llmctl's default, the same on every build");
}

/** The default in the help text, NaN when it has none. Texts until January 2026 round 0.75 to 0.8. */
function defaultOf({ name, entry }: KnownFlag): number {
  return name === "--draft-p-min" && entry.default === "0.8" ? 0.75 : Number(entry.default);
}

/** How many tokens are drafted. Since April 2026 each family of types has its own flags. */
function draftLength(key: "n_max" | "n_min", drafted: readonly string[], ngramMod: string): FlagRule {
  return draftRule({
    key: `draft.${key}`,
    flags: drafted,
    shared: [ngramMod, ...(key === "n_max" ? allNgramLengthFlags : [])],
    render(draft, { catalogue }) {
      const types = splitTypes(draft);
      if (types.some((type) => type.startsWith("draft-"))) return passWanted(draft, key, { catalogue, flags: drafted });
      if (draft[key] === undefined) return undefined;
      const older = drafted.slice(1);
      const fixed = key === "n_max" ? ngramLengthFlags(types) : undefined;
      if (fixed !== undefined) return passWanted(draft, key, { catalogue, flags: fixed });
      if (types.includes("ngram-mod")) return passWanted(draft, key, { catalogue, flags: [ngramMod, ...older] });
      return catalogue.findFirst(older) === undefined
        ? leftOut(`on this build ${draft.type} has its own flags: give them in args`)
        : passWanted(draft, key, { catalogue, flags: older });
    },
  });
}

export const draftMax: FlagRule = draftLength("n_max", ["--spec-draft-n-max", "--draft-max"], "--spec-ngram-mod-n-max");
export const draftMin: FlagRule = draftLength("n_min", ["--spec-draft-n-min", "--draft-min"], "--spec-ngram-mod-n-min");

const probabilityFlags = ["--spec-draft-p-min", "--draft-p-min"];
export const draftProbability: FlagRule = draftRule({
  key: "draft.p_min",
  flags: probabilityFlags,
  render(draft, { catalogue }) {
    if (splitTypes(draft).some((type) => type.startsWith("draft-")))
      return passWanted(draft, "p_min", { catalogue, flags: probabilityFlags });
    return draft.p_min === undefined ? undefined : leftOut(`${draft.type} computes no probabilities`);
  },
});
