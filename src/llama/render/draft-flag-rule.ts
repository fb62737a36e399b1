import type { ProfileValues } from "../../profiles/schema/schema.ts";
import { leftOut, type RenderOutcome, type FlagRule, type RenderInput } from "./flag-rule.ts";

/** What a profile says about drafting. */
export type DraftSettings = NonNullable<ProfileValues["draft"]>;

/** Makes the rule silent where the profile does not draft, or drafting is off. */
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

/** A key that is about the draft model, and so means nothing to types that draft without one. */
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

/** Several types can be asked for, joined by commas. */
export function splitTypes(draft: DraftSettings): string[] {
  return draft.type.split(",").map((type) => type.trim());
}
