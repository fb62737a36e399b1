import { draftingTypes } from "../../profiles/rules/drafting-types.ts";
import type { FlagCatalogue } from "../ask/flag-catalogue.ts";

/**
 * The drafting types of a build, in llama.cpp's words. Builds until April 2026 draft as soon as they have a draft
 * model; their `--spec-type`, if they have it, only adds n-gram types.
 */
export function offeredDraftingTypes(catalogue: FlagCatalogue): readonly string[] {
  const choices = catalogue.findFirst(["--spec-type"])?.entry.choices ?? [];
  const drafts = ["--spec-draft-model", "--model-draft"].some((flag) => catalogue.has(flag)) ? ["draft-simple"] : [];
  const known = choices.filter((type) => Object.hasOwn(draftingTypes, type) && type !== "none");
  return [...new Set([...drafts, ...known])];
}

/** The flag that makes a build log every drafted token; its value is {@link traceVerbosity}. */
export function findTraceFlag(catalogue: FlagCatalogue): string | undefined {
  return catalogue.findFirst(["--verbosity", "--log-verbosity", "-lv"])?.name;
}

export const traceVerbosity = "5";
