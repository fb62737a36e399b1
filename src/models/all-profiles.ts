import { LlmctlError } from "../base/errors.ts";
import type { Paths } from "../base/files/paths.ts";
import { listProfiles } from "../profiles/find.ts";
import { loadProfile, type LoadOptions } from "../profiles/load.ts";
import type { Profile } from "../profiles/schema/schema.ts";
import { listProfileStates } from "../supervisor/state/profile-states.ts";

/** The profiles that can be read, and why the others cannot. */
export interface AllProfiles {
  readonly profiles: readonly Profile[];
  readonly problems: readonly LlmctlError[];
}

/** Reads every profile that `llmctl profile list` shows, and those that run from elsewhere. */
export async function readAllProfiles(paths: Paths, load: LoadOptions): Promise<AllProfiles> {
  const listed = (await listProfiles(load.folders))
    .filter(({ shadowedBy }) => shadowedBy === undefined)
    .map(({ path }) => path);
  const running = (await listProfileStates(paths))
    .filter(({ presence }) => presence !== "gone")
    .map(({ status }) => status.profile);
  const profiles: Profile[] = [];
  const problems: LlmctlError[] = [];
  for (const path of new Set([...listed, ...running])) {
    try {
      profiles.push(await loadProfile(path, load));
    } catch (error) {
      if (!(error instanceof LlmctlError)) throw error;
      problems.push(error);
    }
  }
  return { profiles, problems };
}
