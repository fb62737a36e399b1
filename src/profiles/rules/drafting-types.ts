/**
 * How a drafting type makes its drafts:
 * - `none`: it makes none
 * - `model`: with a smaller model of its own
 * - `head`: with a model that is trained for one target, reads its hidden states and has this architecture
 * - `nextn`: with the NextN (MTP) layers inside the target, or inside a draft model
 * - `ngram`: from the text so far; `length` is how many tokens a draft has: one number, a range, or no setting
 */
export type DraftingType =
  | { readonly source: "none" | "model" | "nextn" }
  | { readonly source: "head"; readonly architecture: string }
  | { readonly source: "ngram"; readonly length: "fixed" | "range" | "unset" };

/**
 * Every drafting type that llmctl knows, in the words of llama.cpp's `--spec-type`. The profile's rules, the flags and
 * the draft gate read this table, so a new type is one row here. A type without a row reaches the build unchanged.
 */
export const draftingTypes: Readonly<Record<string, DraftingType>> = {
  none: { source: "none" },
  "draft-simple": { source: "model" },
  "draft-mtp": { source: "nextn" },
  "draft-eagle3": { source: "head", architecture: "eagle3" },
  "draft-dflash": { source: "head", architecture: "dflash" },
  "draft-dspark": { source: "head", architecture: "dflash" },
  "ngram-simple": { source: "ngram", length: "fixed" },
  "ngram-map-k": { source: "ngram", length: "fixed" },
  "ngram-map-k4v": { source: "ngram", length: "fixed" },
  "ngram-mod": { source: "ngram", length: "range" },
  "ngram-cache": { source: "ngram", length: "unset" },
};

/** The drafting types in a profile's `draft.type`, which are joined by commas. */
export function splitDraftingTypes(text: string): string[] {
  return text.split(",").map((type) => type.trim());
}

/** What is known of a type; llama.cpp begins the names of all n-gram types alike. */
export function findDraftingType(type: string): DraftingType | undefined {
  if (Object.hasOwn(draftingTypes, type)) return draftingTypes[type];
  return /^ngram-[\w-]+$/.test(type) ? { source: "ngram", length: "unset" } : undefined;
}

/** Whether a type cannot draft without `draft.model`. An unknown type is expected to need one. */
export function needsDraftModel(type: string): boolean {
  const source = findDraftingType(type)?.source;
  return source === undefined || source === "model" || source === "head";
}
