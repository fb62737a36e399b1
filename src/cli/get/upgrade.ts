import type { Paths } from "../../base/files/paths.ts";
import { findPaths } from "../../base/files/paths.ts";
import { LlmctlError } from "../../base/errors.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { type Build, listBuilds, useBuild, useBuildBefore } from "../../llama/ask/builds.ts";
import type { Finding } from "../../llama/plan/finding.ts";
import { PlanSession } from "../../llama/plan/plan-session.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { installBuild, type ScriptOptions } from "./build.ts";
import { checkNamed, listNames, type NamedCheck } from "../look/check-named.ts";
import { formatFinding } from "../look/check-report.ts";
import { tryDemo } from "./try-demo.ts";
import { print } from "../screen/print.ts";

interface UpgradeOptions extends ScriptOptions {
  /** Only make the previous build the current build again. */
  readonly rollback: boolean;
  /** Switch although a profile that starts on the current build would not start on the new one. */
  readonly evenIfProfilesBreak: boolean;
}

/**
 * `llmctl upgrade`: builds llama.cpp, checks every profile on the new build, runs the demo pair on it, and then makes
 * it the current build. A running server keeps its build until it is restarted.
 * @throws LlmctlError `upgrade-breaks-profiles`, `demo-failed`, or as {@link installBuild}; the current build then
 *   stays the same.
 */
export async function upgrade({ rollback, evenIfProfilesBreak, ...options }: UpgradeOptions): Promise<number> {
  const paths = findPaths();
  if (rollback) {
    say("current", (await useBuildBefore(paths.data)).id);
    return 0;
  }
  const before = await findCurrent(paths);
  const id = await installBuild(options);
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
  print(`${what.padEnd(9)} ${printableSentence(text)}\n`);
}

async function findCurrent({ data }: Paths): Promise<Build | undefined> {
  return (await listBuilds(data)).builds.find(({ current }) => current);
}

/**
 * Checks every profile that uses the current build on the new build, and prints the errors and warnings that are new.
 * @returns the names of the profiles that would not start any more.
 */
async function findBroken(id: string, before: Build | undefined, paths: Paths): Promise<string[]> {
  const session = new PlanSession(paths, process.env);
  const names = await listNames(paths);
  const now = before === undefined ? [] : await checkNamed(names, session, (profile) => onBuild(before.id, profile));
  const then = await checkNamed(names, session, (profile) => onBuild(id, profile));
  const concerned = then.filter(({ profile }) => profile?.values.llama.build === id);
  const worse = concerned.map((check) => ({ name: check.name, findings: findWorse(check, now) }));
  const broken = worse.filter(({ findings }) => findings.some(({ rank }) => rank === "error")).map(({ name }) => name);
  const others = `${then.length - concerned.length} do not follow the current build`;
  say("profiles", `${concerned.length} checked, ${broken.length} would break; ${others}`);
  for (const { name, findings } of worse) {
    for (const finding of findings) print(formatFinding({ ...finding, message: `${name}: ${finding.message}` }));
  }
  return broken;
}

/** The profile on another build; unchanged if it names a build or a program of its own. */
function onBuild(id: string, profile: Profile): Profile {
  const { llama } = profile.values;
  const isFree = llama.build === undefined && llama.binary === undefined;
  return isFree ? { ...profile, values: { ...profile.values, llama: { build: id } } } : profile;
}

/** Errors and warnings that the profile does not have on the current build. */
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
    fix:
      "correct the profiles, or give them a build of their own (llama.build), then upgrade again; " +
      "or add --even-if-profiles-break",
  });
}
