/**
 * What a build does with a draft whose vocabulary does not match:
 * - `strict`: logs an error and serves without drafting (b9842 and newer)
 * - `translate`: drafts through text, at an acceptance near zero (b6431 to b8390)
 * - `refuse`: does not start (b5640 and older)
 */
export type VocabRule = "strict" | "translate" | "refuse";

/**
 * The rule of a build, from the flags its `--help` lists; version numbers of bundles and shallow clones are not to be
 * trusted. `--spec-replace` came and went with the translation; `--spec-draft-n-max` is what later builds call
 * `--draft-max`.
 */
export function vocabRuleFromFlags(hasFlag: (flag: string) => boolean): VocabRule {
  if (hasFlag("--spec-replace")) return "translate";
  return hasFlag("--spec-draft-n-max") ? "strict" : "refuse";
}
