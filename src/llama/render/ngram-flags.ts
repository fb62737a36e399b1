import { draftingTypes } from "../../profiles/rules/drafting-types.ts";
import { draftRule, splitTypes } from "./draft-flag-rule.ts";
import { leftOut, passValue, type FlagRule } from "./flag-rule.ts";

/** The n-gram types whose drafts have one length, and those with a longest and a shortest one. */
const fixedTypes = ngramTypes("fixed");
const rangeTypes = ngramTypes("range");

function ngramTypes(wanted: "fixed" | "range"): string[] {
  return Object.entries(draftingTypes).flatMap(([name, type]) =>
    type.source === "ngram" && type.length === wanted ? [name] : [],
  );
}

/** Since April 2026 each type has its own flags; before, all types shared one. */
const sizeFlags = (type: string) =>
  rangeTypes.includes(type)
    ? [`--spec-${type}-n-match`, "--spec-ngram-size-n"]
    : [`--spec-${type}-size-n`, "--spec-ngram-size-n"];

/** The flags for the draft length of the first type with a fixed length; undefined when there is none. */
export function ngramLengthFlags(types: readonly string[]): string[] | undefined {
  const type = types.find((one) => fixedTypes.includes(one));
  return type === undefined ? undefined : [`--spec-${type}-size-m`, "--spec-ngram-size-m"];
}

/** Every flag that {@link ngramLengthFlags} can return. */
export const allNgramLengthFlags = fixedTypes.flatMap((type) => ngramLengthFlags([type]) ?? []);

export const ngramSize: FlagRule = draftRule({
  key: "draft.ngram_size",
  flags: [],
  shared: [...rangeTypes, ...fixedTypes].flatMap(sizeFlags),
  render(draft, { catalogue }) {
    if (draft.ngram_size === undefined) return undefined;
    const type = splitTypes(draft).find((one) => rangeTypes.includes(one) || fixedTypes.includes(one));
    return type === undefined
      ? leftOut(`${draft.type} has no n-gram size`)
      : passValue(catalogue, "draft.ngram_size", sizeFlags(type), String(draft.ngram_size));
  },
});
