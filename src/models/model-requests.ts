import { findOptions, type FindOptions } from "../hub/find/find-model.ts";
import { describeRef } from "../hub/find/describe-ref.ts";
import { listModelRefs } from "../profiles/model-refs.ts";
import type { ModelRef, Profile } from "../profiles/schema/schema.ts";
import { targetModel } from "../profiles/target.ts";
import type { JudgeOptions } from "./judge-pair.ts";
import { isKnownUnfit, type UnfitDraft } from "./unfit-drafts.ts";

export interface RequestOptions extends JudgeOptions {
  /** Leave out the drafts that an earlier pull has left out, without asking the Hub again. */
  readonly believeNotes?: boolean;
}

/** A model that one or more profiles ask for, and where to look for it. */
export interface ModelRequest {
  readonly ref: ModelRef;
  /** The reference, for people. */
  readonly label: string;
  readonly find: FindOptions;
}

/** Every model that the profiles ask for, once. */
export async function listRequests(
  profiles: readonly Profile[],
  { paths, env, believeNotes = false }: RequestOptions,
): Promise<readonly ModelRequest[]> {
  const requests: ModelRequest[] = [];
  for (const profile of profiles) {
    const isUnfit = believeNotes && (await isKnownUnfit(profile, { paths, env }));
    for (const { key, ref } of listRefs(profile)) {
      if (isUnfit && key[0] === "draft") continue;
      requests.push({ ref, label: labelOf(ref), find: { ...findOptions(profile, paths), at: profile.at(...key) } });
    }
  }
  return requests.filter((one, i) => requests.findIndex((other) => keyOf(other) === keyOf(one)) === i);
}

/** Whether the profile needs the model, given the drafts that are left out. */
export function needs(profile: Profile, ref: ModelRef, unfit: readonly UnfitDraft[]): boolean {
  const isUnfit = unfit.some((one) => one.profile === profile);
  return listRefs(profile).some(({ key, ref: own }) => isSameRef(own, ref) && !(isUnfit && key[0] === "draft"));
}

export function isSameRef(one: ModelRef, other: ModelRef): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/**
 * The target, the draft, and the sidecars that may have to be fetched. A sidecar at a plain path is left to the start.
 * @throws LlmctlError as {@link targetModel}: a worker has no model, and nobody may ask to fetch one for it.
 */
function listRefs(profile: Profile) {
  targetModel(profile);
  return listModelRefs(profile.values).filter(({ key, ref }) => typeof ref === "object" || key.at(-1) === "model");
}

/** Two requests with one key find the same files. A model from an address has one place, whatever the profile says. */
function keyOf({ ref, find }: ModelRequest): string {
  return JSON.stringify([ref, typeof ref === "object" && "url" in ref ? [] : find.modelDirs]);
}

function labelOf(ref: ModelRef): string {
  return typeof ref === "string" ? `"${ref}"` : describeRef(ref);
}
