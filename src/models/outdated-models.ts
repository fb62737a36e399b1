import { describeRef } from "../hub/find/describe-ref.ts";
import { findOptions } from "../hub/find/find-model.ts";
import { planPull } from "../hub/download/pull-model.ts";
import type { Profile } from "../profiles/schema/schema.ts";
import { reportAs } from "./model-event.ts";
import { listModelsOnDisk } from "./models-on-disk.ts";
import type { FetchModelsOptions } from "./plan-models.ts";

/** A model for which the Hub, or its address, has other files now than those on disk. */
export interface OutdatedModel {
  /** The reference, for people. */
  readonly model: string;
  readonly profiles: readonly string[];
  /** Null when it is not known of which commit the files are. */
  readonly commit: string | null;
  /** Null for an address, which has no commits. */
  readonly newest: string | null;
  readonly missingBytes: number;
}

/**
 * Asks for each model of the profiles that is on disk whether there are newer files. A commit that changes only other
 * files does not count.
 * @throws LlmctlError as {@link planPull}.
 */
export async function listOutdated(
  profiles: readonly Profile[],
  { paths, hub, signal, onEvent }: Pick<FetchModelsOptions, "paths" | "hub" | "signal" | "onEvent">,
): Promise<readonly OutdatedModel[]> {
  const outdated: OutdatedModel[] = [];
  for (const { ref, profiles: users, commit = null } of await listModelsOnDisk(profiles, paths)) {
    const profile = profiles.find(({ name }) => name === users[0]);
    if (ref === undefined || profile === undefined) continue;
    const where = findOptions(profile, paths);
    const plan = await planPull(ref, { ...where, hub, signal, update: true, onProgress: reportAs("", onEvent) });
    if (plan.kind === "complete") continue;
    const { commit: newest = null, missingBytes } = plan;
    outdated.push({ model: describeRef(ref), profiles: users, commit, newest, missingBytes });
  }
  return outdated;
}
