import { exitCodes } from "../../base/exit-codes.ts";
import { mapBounded } from "../../base/map-bounded.ts";
import { findPaths, type Paths } from "../../base/files/paths.ts";
import { type Finding, Findings } from "../../llama/plan/finding.ts";
import { checkProfiles, type ProfileCheck } from "../../llama/plan/check-profile.ts";
import { PlanSession } from "../../llama/plan/plan-session.ts";
import { listProfileNames, profileFolders } from "../../profiles/find.ts";
import type { ParsedFiles } from "../../profiles/load.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { showCheck, showChecks } from "./check-report.ts";
import { openProfile } from "../options/context.ts";
import { jsonText } from "../screen/json-text.ts";

/** A profile that was to be checked: what was found, or why it cannot even be read. */
export type NamedCheck =
  | (ProfileCheck & { readonly name: string })
  | { readonly name: string; readonly profile: undefined; readonly findings: readonly Finding[] };

interface CheckOptions {
  /** Every profile there is. */
  readonly all: boolean;
  readonly json: boolean;
}

/**
 * Does everything of a start but the start, for one or many profiles, and prints all that was found.
 * @returns 0 where nothing would fail; else the exit code that a start would end with, or 1 where there are several.
 */
export async function check(namesOrPaths: readonly string[], { all, json }: CheckOptions): Promise<number> {
  const paths = findPaths();
  const names = all ? await listNames(paths) : namesOrPaths;
  const checks = await checkNamed(names, new PlanSession(paths, process.env));
  const isSingle = !all && names.length === 1;
  const [only] = checks;
  if (json) process.stdout.write(jsonText(isSingle && only ? toJson(only) : checks.map(toJson)));
  else if (isSingle && only !== undefined) showCheck(only);
  else showChecks(checks, process.stdout.columns || 1000);
  return exitCodeOf(checks);
}

/** Reading waits for the disk more than it computes. */
const filesAtOnce = 16;

/** Every profile's name, once. */
export async function listNames(paths: Paths): Promise<string[]> {
  return listProfileNames(profileFolders({ paths, cwd: process.cwd() }));
}

/**
 * Reads and checks profiles.
 * @param change What to check instead of a profile as it is written.
 */
export async function checkNamed(
  names: readonly string[],
  session: PlanSession,
  change: (profile: Profile) => Profile = (profile) => profile,
): Promise<NamedCheck[]> {
  const parsed: ParsedFiles = new Map();
  const opened = await mapBounded(names, filesAtOnce, async (name) => {
    const findings = new Findings();
    return {
      name,
      findings,
      profile: await findings.settle(async () => change(await openProfile(name, session.paths, parsed))),
    };
  });
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

function exitCodeOf(checks: readonly NamedCheck[]): number {
  const exits = new Set(checks.flatMap(({ findings }) => findings.flatMap(({ exit }) => exit ?? [])));
  const [first = "done"] = exits;
  return exitCodes[exits.size > 1 ? "failed" : first].code;
}

function toJson(one: NamedCheck): Record<string, unknown> {
  const { name, findings } = one;
  const warnings = findings.flatMap(({ rank, message }) => (rank === "warning" ? [message] : []));
  if (one.profile === undefined) return { name, profile: null, warnings, findings };
  const { profile, build = null, files, flags, notes, drafting, memory } = one;
  return { name, profile: profile.path, build, files, flags, notes, drafting, memory, warnings, findings };
}
