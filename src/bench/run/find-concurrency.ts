import type { Profile } from "../../profiles/schema/schema.ts";

/** Number of prompts at the same time: what is asked for, else as many as the profile serves. */
export function findConcurrency({
  concurrency,
  profile,
}: {
  readonly concurrency: number | undefined;
  readonly profile: Profile;
}): number {
  return concurrency ?? Math.max(1, profile.values.parallel ?? 1);
}
