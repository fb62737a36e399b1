import { splitDraftingTypes } from "../../profiles/rules/drafting-types.ts";
import type { ProfileValues } from "../../profiles/schema/schema.ts";
import { leftOut, type RenderOutcome, type FlagRule, type RenderInput } from "./flag-rule.ts";

/** The key `draft` of a profile. */
export type DraftSettings = NonNullable<ProfileValues["draft"]>;

/** A rule that renders nothing when the profile has no `draft`, or when drafting is off. */
export function draftRule(
  rule: Omit<FlagRule, "render"> & {
    readonly render: (draft: DraftSettings, source: RenderInput) => RenderOutcome | undefined;
  },
): FlagRule {
  return {
    ...rule,
    render: (source) => {
      const { draft } = source.values;
      return draft === undefined || source.models.draftingOff !== undefined ? undefined : rule.render(draft, source);
    },
  };
}

/** A key for the draft model, which has no meaning for types that draft without one. */
export function draftModelRule<T>(
  key: string,
  flags: readonly string[],
  read: (draft: DraftSettings) => T | undefined,
  render: (value: T, source: RenderInput) => RenderOutcome,
): FlagRule {
  return draftRule({
    key,
    flags,
    render: (draft, source) => {
      const value = read(draft);
      if (value === undefined) return undefined;
      return draft.model === undefined ? leftOut(`${draft.type} drafts without a draft model`) : render(value, source);
    },
  });
}

/** The drafting types of a profile. */
export function splitTypes(draft: DraftSettings): string[] {
  return splitDraftingTypes(draft.type);
}
