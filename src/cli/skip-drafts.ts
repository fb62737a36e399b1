import type { Paths } from "../base/paths.ts";
import { formatSize } from "../base/units.ts";
import { findModel, findOptions, searchHubModel } from "../hub/find-model.ts";
import type { HubAccess } from "../hub/hub-access.ts";
import { describeRef } from "../hub/select-files.ts";
import type { VocabRule } from "../llama/vocab-rule.ts";
import { draftMismatch } from "../llama/plan-launch.ts";
import { noteSkippedDraft } from "../llama/skipped-draft.ts";
import type { HubModelRef, ModelRef, Profile } from "../profiles/schema.ts";
import { judgeProfile } from "./judge-pair.ts";

/** A draft that is not fetched because it cannot speed up its target. */
export interface SkippedDraft {
  readonly profile: Profile;
  readonly ref: HubModelRef;
  readonly reason: string;
  readonly rule: VocabRule;
  readonly sizeBytes: number;
}

/**
 * Judges the pairs of which something is still to be fetched, by their headers on the Hub.
 * @throws LlmctlError `draft-mismatch` where the profile wants that, and what reading the headers throws; nothing has been fetched then.
 */
export async function findSkippedDrafts(profiles: readonly Profile[], access: HubAccess, paths: Paths): Promise<SkippedDraft[]> {
  const skipped: SkippedDraft[] = [];
  for (const profile of profiles) {
    const one = await judgeDraft(profile, access, paths);
    if (one !== undefined) skipped.push(one);
  }
  return skipped;
}

async function judgeDraft(profile: Profile, access: HubAccess, paths: Paths): Promise<SkippedDraft | undefined> {
  const { model, draft } = profile.values;
  const ref = draft?.model;
  if (draft === undefined || ref === undefined) return undefined;
  const draftLacks = await isLacking(ref, profile, paths);
  if (!draftLacks && !(await isLacking(model, profile, paths))) return undefined;
  const judgement = await judgeProfile(profile, access, paths);
  if (judgement === undefined || judgement.verdict.verdict === "on") return undefined;
  if (draft.on_mismatch === "fail") throw draftMismatch(profile, judgement.verdict);
  if (!draftLacks || typeof ref === "string") return undefined;
  const sizeBytes = (judgement.draft?.model.shards ?? []).reduce((sum, shard) => sum + shard.sizeBytes, 0);
  return { profile, ref, reason: judgement.verdict.reason, rule: judgement.build.rule, sizeBytes };
}

async function isLacking(ref: ModelRef, profile: Profile, paths: Paths): Promise<boolean> {
  return typeof ref !== "string" && !("files" in (await searchHubModel(ref, findOptions(profile, paths))));
}

/** Says why a draft was left out and, where its target is here now, notes it for `up`. */
export async function sayNotFetched(skipped: SkippedDraft, paths: Paths, dryRun: boolean): Promise<void> {
  const { profile, ref, reason, rule, sizeBytes } = skipped;
  if (!dryRun) {
    const { shards } = await findModel(profile.values.model, findOptions(profile, paths));
    await noteSkippedDraft(paths.cache, { targetFiles: shards, draft: ref, type: profile.values.draft?.type ?? "", rule }, reason);
  }
  const what = `${describeRef(ref)}: not fetched (${formatSize(sizeBytes)})`;
  process.stdout.write(`${what}, "${profile.name}" will serve without drafting: ${reason}\n`);
}
