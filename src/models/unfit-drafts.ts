import type { Paths } from "../base/files/paths.ts";
import { findModel, findOptions, searchModel } from "../hub/find/find-model.ts";
import type { HubAccess } from "../hub/http/hub-access.ts";
import type { PullPlan } from "../hub/download/pull-plan.ts";
import { describeRef } from "../hub/find/describe-ref.ts";
import { findBuildVocabRule, type VocabRule } from "../llama/draft/build-vocab-rule.ts";
import { findDraftingOff } from "../llama/plan/draft-decision.ts";
import { findSkippedDraft, noteSkippedDraft } from "../llama/draft/draft-skip-note.ts";
import type { ModelRef, Profile, RemoteModelRef } from "../profiles/schema/schema.ts";
import { targetModel } from "../profiles/target.ts";
import type { NotFetched } from "./model-event.ts";
import { judgeProfile, type JudgeOptions } from "./judge-pair.ts";

/** A draft that is not fetched, because its headers say that it cannot speed up its target. */
export interface UnfitDraft {
  readonly profile: Profile;
  readonly ref: RemoteModelRef;
  readonly reason: string;
  /** The rule that the judgement followed. */
  readonly rule: VocabRule;
  readonly sizeBytes: number;
}

/** What a pull would do about a reference; undefined for one that was not planned. */
type PlanOf = (ref: ModelRef) => PullPlan | undefined;

/**
 * Judges the pairs of which files are missing, by the headers where they are published, before anything is fetched.
 * @throws LlmctlError `draft-mismatch` if the profile says `on_mismatch: fail`, or as {@link judgeProfile}.
 */
export async function findUnfitDrafts(
  profiles: readonly Profile[],
  planOf: PlanOf,
  { access, ...options }: JudgeOptions & { readonly access: HubAccess },
): Promise<UnfitDraft[]> {
  const unfit: UnfitDraft[] = [];
  for (const profile of profiles) {
    const { draft } = profile.values;
    const ref = draft?.model;
    if (draft === undefined || ref === undefined) continue;
    const isDraftMissing = planOf(ref)?.kind === "fetch";
    if (!isDraftMissing && planOf(targetModel(profile))?.kind !== "fetch") continue;
    const judgement = await judgeProfile(atPlannedCommits(profile, planOf), access, options);
    const reason = judgement && findDraftingOff(profile, judgement.verdict);
    if (judgement === undefined || reason === undefined || !isDraftMissing || typeof ref === "string") continue;
    const sizeBytes = (judgement.draft?.model.shards ?? []).reduce((sum, shard) => sum + shard.sizeBytes, 0);
    unfit.push({ profile, ref, reason, rule: judgement.build.rule, sizeBytes });
  }
  return unfit;
}

/** The profile with its references at the commits that would be fetched: their headers are the ones to judge. */
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

/** Whether an earlier pull has left out the profile's draft for a reason that still holds. Needs no network. */
export async function isKnownUnfit(profile: Profile, { paths, env }: JudgeOptions): Promise<boolean> {
  const { draft, llama } = profile.values;
  const model = targetModel(profile);
  if (draft?.model === undefined || typeof draft.model === "string" || draft.on_mismatch === "fail") return false;
  const options = findOptions(profile, paths);
  const search =
    typeof model === "string" ? { files: await findModel(model, options) } : await searchModel(model, options);
  if (!("files" in search)) return false;
  const { rule } = await findBuildVocabRule({ llama, at: profile.at("llama"), paths, env });
  const pair = { targetFiles: search.files.shards, draft: draft.model, type: draft.type, rule };
  return (await findSkippedDraft(paths.cache, pair)) !== undefined;
}

/** Notes why a draft was left out, so that a start can say it. The target must be on disk. */
export async function noteUnfitDraft({ profile, ref, reason, rule }: UnfitDraft, paths: Paths): Promise<void> {
  const { shards } = await findModel(targetModel(profile), findOptions(profile, paths));
  await noteSkippedDraft(
    paths.cache,
    { targetFiles: shards, draft: ref, type: profile.values.draft?.type ?? "", rule },
    reason,
  );
}

/** The facts to report. */
export function toNotFetched({ profile, ref, reason, sizeBytes }: UnfitDraft): NotFetched {
  return { model: describeRef(ref), profile: profile.name, reason, sizeBytes };
}
