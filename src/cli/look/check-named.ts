import pMap from "p-map";
import type { Paths } from "../../base/files/paths.ts";
import { type Finding, Findings } from "../../llama/plan/finding.ts";
import { checkProfiles, type ProfileCheck } from "../../llama/plan/check-profile.ts";
import type { PlanSession } from "../../llama/plan/plan-session.ts";
import { listProfileNames, profileFolders } from "../../profiles/find.ts";
import type { ParsedFiles } from "../../profiles/load.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { openProfile } from "../options/context.ts";

/** The result for one name: the check of its profile, or the errors for which it cannot be read. */
export type NamedCheck =
  | (ProfileCheck & { readonly name: string })
  | { readonly name: string; readonly profile: undefined; readonly findings: readonly Finding[] };

/** More than there are processors: reading a file mostly waits for the disk. */
const filesAtOnce = 16;

/** Every profile's name, once. */
export async function listNames(paths: Paths): Promise<string[]> {
  return listProfileNames(profileFolders({ paths, cwd: process.cwd() }));
}

/**
 * Reads and checks profiles.
 * @param change Makes the profile to check from the one that is written.
 */
export async function checkNamed(
  names: readonly string[],
  session: PlanSession,
  change: (profile: Profile) => Profile = (profile) => profile,
): Promise<NamedCheck[]> {
  const parsed: ParsedFiles = new Map();
  const open = async (name: string) => {
    const findings = new Findings("collect");
    const read = async () => change(await openProfile(name, session.paths, parsed));
    return { name, findings, profile: await findings.settle(read) };
  };
  const opened = await pMap(names, open, { concurrency: filesAtOnce });
  const checks = await checkProfiles(
    opened.flatMap(({ profile }) => profile ?? []),
    session,
  );
  return opened.map(({ name, profile, findings }) => {
    const made = checks.find((one) => one.profile === profile);
    return made === undefined
      ? { name, profile: undefined, findings: findings.ranked }
      : { ...made, name: made.profile.name };
  });
}
