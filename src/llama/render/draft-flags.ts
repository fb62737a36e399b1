import { needsDraftModel } from "../../profiles/rules/drafting-types.ts";
import { type DraftSettings, draftRule, splitTypes } from "./draft-flag-rule.ts";
import type { FlagCatalogue, KnownFlag } from "../ask/flag-catalogue.ts";
import { allNgramLengthFlags, ngramLengthFlags } from "./ngram-flags.ts";
import { formatFloat, impossible, leftOut, type RenderOutcome, passed, passValue, type FlagRule } from "./flag-rule.ts";

const modelFlags = ["--spec-draft-model", "--model-draft"];
/** Says once that drafting is off. */
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
 * The type is always said where the build has a flag for it: without it, builds since April 2026 load the draft model
 * and never use it, or guess a type from the file and abort. Earlier builds draft as soon as they have a draft model,
 * and their `--spec-type`, where there is one, names only what to do besides.
 */
export const draftType: FlagRule = draftRule({
  key: "draft.type",
  flags: ["--spec-type", "--spec-default"],
  render(draft, { catalogue }) {
    const types = splitTypes(draft);
    const contradiction = findContradiction(draft, types);
    if (contradiction !== undefined) return contradiction;
    const flag = catalogue.findFirst(["--spec-type"]);
    // A build whose list of types cannot be read is told all of them; it will say which it does not know.
    const offered = flag === undefined ? [] : (flag.entry.choices ?? types);
    const toSay = types.filter((type) => type !== "draft-simple" || offered.includes(type));
    const unknown = toSay.filter((type) => !offered.includes(type));
    if (unknown.length > 0) return unknownTypes(unknown, ["draft-simple", ...offered], catalogue.version);
    if (flag === undefined || toSay.length === 0)
      return leftOut("not needed on this build: it drafts as soon as it has a draft model");
    return passed([flag.name, toSay.join(",")]);
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

function unknownTypes(unknown: readonly string[], offered: readonly string[], version: string): RenderOutcome {
  const known = [...new Set(offered)].filter((type) => type !== "none");
  return impossible(
    `draft.type "${unknown.join(",")}" is not known to llama.cpp ${version}`,
    `it knows ${known.join(", ")}`,
  );
}

/**
 * What a profile with a draft model means where it says nothing. Until April 2026 it was what the builds did, and the
 * pairs that people use were tuned with it; then builds went to 3 tokens of any probability, and the same profile would
 * have drafted otherwise.
 */
const simpleDefaults = { n_max: 16, n_min: undefined, p_min: 0.75 } as const;

type LengthKey = keyof typeof simpleDefaults;

/** The value that holds on every build; undefined where the build is to decide. */
function wantedLength(draft: DraftSettings, key: LengthKey): number | undefined {
  return draft[key] ?? (splitTypes(draft).includes("draft-simple") ? simpleDefaults[key] : undefined);
}

interface FlagTarget {
  readonly catalogue: FlagCatalogue;
  readonly flags: readonly string[];
}

/** Passes what a profile means, but where the build does that unless told. */
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

/** Help texts of January 2026 and before round 0.75 to one place. */
function defaultOf({ name, entry }: KnownFlag): number | undefined {
  if (entry.default === undefined) return undefined;
  return name === "--draft-p-min" && entry.default === "0.8" ? 0.75 : Number(entry.default);
}

/** How many tokens are drafted: each family of types has its own flags since April 2026. */
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
        ? leftOut(`${draft.type} has flags of its own on this build; give them in args`)
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
    return draft.p_min === undefined ? undefined : leftOut(`${draft.type} knows no probabilities`);
  },
});
