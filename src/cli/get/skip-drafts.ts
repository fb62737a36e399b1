import type { Paths } from "../../base/files/paths.ts";
import { formatSize } from "../../base/text/units.ts";
import { findModel, findOptions, searchModel } from "../../hub/find/find-model.ts";
import type { HubAccess } from "../../hub/http/hub-access.ts";
import type { PullPlan } from "../../hub/download/pull-plan.ts";
import { describeRef } from "../../hub/find/describe-ref.ts";
import { findBuildRule } from "../../llama/draft/build-vocab-rule.ts";
import type { VocabRule } from "../../llama/draft/vocab-rule.ts";
import { findDraftingOff } from "../../llama/plan/draft-decision.ts";
import { findSkippedDraft, noteSkippedDraft } from "../../llama/draft/draft-skip-note.ts";
import type { ModelRef, Profile, RemoteModelRef } from "../../profiles/schema/schema.ts";
import { targetModel } from "../../profiles/target.ts";
import { judgeProfile } from "./judge-pair.ts";

/** A draft that is not fetched because it cannot speed up its target. */
export interface SkippedDraft {
  readonly profile: Profile;
  readonly ref: RemoteModelRef;
  readonly reason: string;
  readonly rule: VocabRule;
  readonly sizeBytes: number;
}

/** What is to be done about a reference; undefined for one that nothing is known of. */
type PlanOf = (ref: ModelRef) => PullPlan | undefined;

/**
 * Judges the pairs of which something is still to be fetched, by their headers where they are published.
 * @throws LlmctlError `draft-mismatch` where the profile wants that, and what reading the headers throws; nothing has
 *   been fetched then.
 */
export async function findSkippedDrafts(
  profiles: readonly Profile[],
  planOf: PlanOf,
  { access, paths }: { readonly access: HubAccess; readonly paths: Paths },
): Promise<SkippedDraft[]> {
  const skipped: SkippedDraft[] = [];
  for (const profile of profiles) {
    const { draft } = profile.values;
    const ref = draft?.model;
    if (draft === undefined || ref === undefined) continue;
    const draftLacks = planOf(ref)?.kind === "fetch";
    if (!draftLacks && planOf(targetModel(profile))?.kind !== "fetch") continue;
    const judgement = await judgeProfile(atPlannedCommits(profile, planOf), access, paths);
    const reason = judgement && findDraftingOff(profile, judgement.verdict);
    if (judgement === undefined || reason === undefined || !draftLacks || typeof ref === "string") continue;
    const sizeBytes = (judgement.draft?.model.shards ?? []).reduce((sum, shard) => sum + shard.sizeBytes, 0);
    skipped.push({ profile, ref, reason, rule: judgement.build.rule, sizeBytes });
  }
  return skipped;
}

/** The headers to judge are those of the commits that would be fetched. */
function atPlannedCommits(profile: Profile, planOf: PlanOf): Profile {
  const { draft } = profile.values;
  const place = (ref: ModelRef): ModelRef => {
    const plan = planOf(ref);
    const isOfHub = typeof ref === "object" && "hf" in ref;
    return isOfHub && plan?.kind === "fetch" && plan.commit !== undefined ? { ...ref, revision: plan.commit } : ref;
  };
  const placedDraft = draft?.model === undefined ? draft : { ...draft, model: place(draft.model) };
  return { ...profile, values: { ...profile.values, model: place(targetModel(profile)), draft: placedDraft } };
}

/**
 * Whether an earlier pull has left out the profile's draft, and the reason still holds: a start then needs no network
 * to say so.
 */
export async function isSkipNoted(profile: Profile, paths: Paths): Promise<boolean> {
  const { draft, llama } = profile.values;
  const model = targetModel(profile);
  if (draft?.model === undefined || typeof draft.model === "string" || draft.on_mismatch === "fail") return false;
  const options = findOptions(profile, paths);
  const files = typeof model === "string" ? await findModel(model, options) : await searchModel(model, options);
  const shards = "files" in files ? files.files.shards : "shards" in files ? files.shards : undefined;
  if (shards === undefined) return false;
  const { rule } = await findBuildRule({ llama, at: profile.at("llama"), paths, env: process.env });
  return (
    (await findSkippedDraft(paths.cache, { targetFiles: shards, draft: draft.model, type: draft.type, rule })) !==
    undefined
  );
}

/** Notes why a draft was left out, for `up`; its target must be here. */
export async function noteNotFetched({ profile, ref, reason, rule }: SkippedDraft, paths: Paths): Promise<void> {
  const { shards } = await findModel(targetModel(profile), findOptions(profile, paths));
  await noteSkippedDraft(
    paths.cache,
    { targetFiles: shards, draft: ref, type: profile.values.draft?.type ?? "", rule },
    reason,
  );
}

export function describeNotFetched({ profile, ref, reason, sizeBytes }: SkippedDraft): string {
  return `${describeRef(ref)}: not fetched (${formatSize(sizeBytes)}), "${profile.name}" will serve without drafting: ${reason}`;
}
