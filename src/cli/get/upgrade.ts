import type { Paths } from "../../base/files/paths.ts";
import { findPaths } from "../../base/files/paths.ts";
import { LlmctlError } from "../../base/errors.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { type Build, listBuilds, useBuild, useBuildBefore } from "../../llama/ask/builds.ts";
import type { Finding } from "../../llama/plan/finding.ts";
import { PlanSession } from "../../llama/plan/plan-session.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { buildAside, type ScriptOptions } from "./build.ts";
import { checkNamed, listNames, type NamedCheck } from "../look/check-named.ts";
import { formatFinding } from "../look/check-report.ts";
import { tryDemo } from "./try-demo.ts";

interface UpgradeOptions extends ScriptOptions {
  /** Only go back to the build before. */
  readonly rollback: boolean;
  /** Switch although a profile that starts now would not start any more. */
  readonly evenIfProfilesBreak: boolean;
}

/**
 * `llmctl upgrade`: makes a build aside, checks every profile against it, runs the demo pair on it, and only then makes
 * it the current one. Servers that run keep the build that they were started with, until they are restarted.
 * @throws LlmctlError `upgrade-breaks-profiles`, `demo-failed`, or what building throws; the current build is then what
 *   it was.
 */
export async function upgrade({ rollback, evenIfProfilesBreak, ...options }: UpgradeOptions): Promise<number> {
  const paths = findPaths();
  if (rollback) {
    say("current", (await useBuildBefore(paths.data)).id);
    return 0;
  }
  const before = await findCurrent(paths);
  const id = await buildAside(options);
  if (before?.id === id) {
    say("current", `${id}, as before`);
    return 0;
  }
  const broken = await findBroken(id, before, paths);
  if (broken.length > 0 && !evenIfProfilesBreak) throw refused(id, before, broken);
  say("demo", await tryDemo(id, paths));
  await useBuild(id, paths.data);
  say("current", before === undefined ? id : `${id}; go back to ${before.id}: llmctl upgrade --rollback`);
  return 0;
}

function say(what: string, text: string): void {
  process.stdout.write(`${what.padEnd(9)} ${printableSentence(text)}\n`);
}

async function findCurrent({ data }: Paths): Promise<Build | undefined> {
  return (await listBuilds(data)).builds.find(({ current }) => current);
}

/**
 * Checks on the new build every profile that runs on the current one, and shows what would be worse.
 * @returns the names of those that break.
 */
async function findBroken(id: string, before: Build | undefined, paths: Paths): Promise<string[]> {
  const session = new PlanSession(paths, process.env);
  const names = await listNames(paths);
  const now = before === undefined ? [] : await checkNamed(names, session, (profile) => onBuild(before.id, profile));
  const then = await checkNamed(names, session, (profile) => onBuild(id, profile));
  const concerned = then.filter(({ profile }) => profile?.values.llama.build === id);
  const worse = concerned.map((check) => ({ name: check.name, findings: findWorse(check, now) }));
  const broken = worse.filter(({ findings }) => findings.some(({ rank }) => rank === "error")).map(({ name }) => name);
  say(
    "profiles",
    `${concerned.length} checked, ${broken.length} would break; ${then.length - concerned.length} do not follow the current build`,
  );
  for (const { name, findings } of worse) {
    for (const finding of findings)
      process.stdout.write(formatFinding({ ...finding, message: `${name}: ${finding.message}` }));
  }
  return broken;
}

/** The profile on another build, where it leaves the choice to the current one. */
function onBuild(id: string, profile: Profile): Profile {
  const { llama } = profile.values;
  const isFree = llama.build === undefined && llama.binary === undefined;
  return isFree ? { ...profile, values: { ...profile.values, llama: { build: id } } } : profile;
}

/** Errors and warnings that the same profile does not have now. A missing model is missing on both. */
function findWorse({ name, findings }: NamedCheck, now: readonly NamedCheck[]): Finding[] {
  const known = now.find((one) => one.name === name)?.findings ?? [];
  const isKnown = (finding: Finding) =>
    known.some(({ rank, code, at }) => rank === finding.rank && code === finding.code && at === finding.at);
  return findings.filter((finding) => finding.rank !== "note" && !isKnown(finding));
}

function refused(id: string, before: Build | undefined, broken: readonly string[]): LlmctlError {
  const who = broken.map((name) => `"${name}"`).join(", ");
  const stays = before === undefined ? "no build is current" : `"${before.id}" stays the current build`;
  return new LlmctlError("upgrade-breaks-profiles", `${who} would not start on ${id}; ${stays}`, {
    exit: "config",
    fix: "correct the profiles, or give them a build of their own (llama.build), then upgrade again; or add --even-if-profiles-break",
  });
}
