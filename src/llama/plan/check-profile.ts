import { LlmctlError } from "../../base/errors.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import type { Launch, WantedProof } from "../../supervisor/launch.ts";
import { describeBuild } from "../ask/asked-build.ts";
import { dryRunAll, type DryRunResult } from "../render/dry-run-batch.ts";
import { mapOverProcessors } from "../ask/map-over-processors.ts";
import type { RenderedFlag } from "../render/flag-rule.ts";
import type { Rendering } from "../render/render-command.ts";
import { addMissingDevices, findRemoteDevices } from "./device-findings.ts";
import { noDraftAsked } from "./draft-decision.ts";
import { type Finding, Findings } from "./finding.ts";
import { checkMemory } from "./memory-findings.ts";
import type { MemoryUse } from "./memory-use.ts";
import type { PlanSession } from "./plan-session.ts";
import { addPlanWarnings, addRpcWarning } from "./plan-warnings.ts";
import { planWorker } from "./plan-worker.ts";
import { addPort, isProfileRunning } from "./port-findings.ts";
import { addKeyFault, type Planning, prepareCommand, type PreparedCommand } from "./prepare-command.ts";

/** All that can be known of a profile before a start. */
export interface ProfileCheck {
  readonly profile: Profile;
  /** For people; undefined where no build could be asked. */
  readonly build: string | undefined;
  readonly files: Launch["files"];
  readonly flags: readonly RenderedFlag[];
  readonly notes: Rendering["notes"];
  readonly drafting: WantedProof;
  /** Empty where the build cannot tell it. */
  readonly memory: readonly MemoryUse[];
  /** Errors first. */
  readonly findings: readonly Finding[];
}

/** A profile whose command line is to be tried, with what was found so far. */
interface StartedCheck {
  readonly findings: Findings;
  readonly prepared: PreparedCommand;
}

/**
 * Takes every step of a start but the start, for any number of profiles. After a failed step it goes on with those that
 * do not need it. The steps are those of `planLaunch`; beyond them a check looks at each device, at the memory and at
 * the port.
 */
export async function checkProfiles(profiles: readonly Profile[], session: PlanSession): Promise<ProfileCheck[]> {
  const servers = profiles.filter(({ values }) => values.kind !== "rpc-worker");
  const started = await mapOverProcessors(servers, async (profile) => {
    const findings = new Findings("collect");
    return { findings, prepared: await prepareCommand(profile, "llama-server", { session, findings }) };
  });
  const trials = await dryRunAll(started.flatMap(({ prepared: { trial } }) => trial ?? []));
  const byProfile = new Map(started.map((one) => [one.prepared.profile, one]));
  return mapOverProcessors(profiles, (profile) => {
    const one = byProfile.get(profile);
    if (one === undefined) return checkWorkerProfile(profile, session);
    const { trial } = one.prepared;
    return finishCheck(one, trial && trials.get(trial), session);
  });
}

async function finishCheck(
  { findings, prepared }: StartedCheck,
  result: DryRunResult | undefined,
  session: PlanSession,
): Promise<ProfileCheck> {
  const { profile, build, target, draft, sidecars, trial } = prepared;
  const { flags, notes } = trial?.rendering ?? noFlags;
  const planning = { session, findings };
  const isRunning = await isProfileRunning(profile, session.paths, findings);
  const missing = await checkDevices(prepared, isRunning, planning);
  addRefusals(prepared, result, { missing, findings });
  await addPlanWarnings(prepared, planning);
  const files = [...target.files, ...sidecars.files];
  const memory =
    build === undefined || trial === undefined || findings.hasErrors
      ? []
      : await checkMemory({ trial, catalogue: build.catalogue, files, draft, findings, isRunning }, session);
  if (!isRunning) await addPort(profile, findings);
  addNotes(prepared, notes, findings);
  return {
    profile,
    build: build && describeBuild(build),
    files: [...files, ...draft.files],
    flags,
    notes,
    drafting: draft.drafting,
    memory,
    findings: findings.ranked,
  };
}

const noFlags: Rendering = { flags: [], notes: [] };

/** @returns the names of devices that are missing. */
async function checkDevices(
  { profile, build, trial, env }: PreparedCommand,
  isRunning: boolean,
  planning: Planning,
): Promise<ReadonlySet<string>> {
  if (build === undefined) return new Set();
  const question = { server: build.file, env };
  // A worker serves one program at a time, and a running server has it.
  const remote = isRunning || trial === undefined ? undefined : await findRemoteDevices(profile, question, planning);
  return addMissingDevices(profile, { ...question, remote }, planning);
}

interface RefusalOptions {
  /** Devices that are known to be missing: the binary refuses them as well, in other words. */
  readonly missing: ReadonlySet<string>;
  readonly findings: Findings;
}

function addRefusals(
  prepared: PreparedCommand,
  result: DryRunResult = [],
  { missing, findings }: RefusalOptions,
): void {
  const refused = result instanceof LlmctlError ? [{ error: result }] : result;
  for (const { flag, error } of addKeyFault(refused, prepared)) {
    const words = flag?.args.flatMap((word) => word.split(",")) ?? [];
    if (!words.some((word) => missing.has(word))) findings.fail(error);
  }
}

/** Keys that the build gets no flag for. Where drafting is off, its keys are left out for a reason that is told. */
function addNotes({ profile, draft }: PreparedCommand, notes: Rendering["notes"], findings: Findings): void {
  for (const { key, reason } of notes) {
    if (!draft.drafting.wanted && key.startsWith("draft.")) continue;
    findings.add("note", "key-left-out", { message: `${key}: ${reason}`, at: profile.at(...key.split(".")) });
  }
}

async function checkWorkerProfile(profile: Profile, session: PlanSession): Promise<ProfileCheck> {
  const findings = new Findings("collect");
  const plan = await findings.settle(() => planWorker(profile, session));
  if (plan !== undefined)
    await addMissingDevices(profile, { server: plan.server, env: plan.env }, { session, findings });
  addRpcWarning(profile, findings);
  if (!(await isProfileRunning(profile, session.paths, findings))) await addPort(profile, findings);
  return {
    profile,
    build: plan?.build,
    files: [],
    flags: plan?.flags ?? [],
    notes: [],
    drafting: { wanted: false, reason: noDraftAsked },
    memory: [],
    findings: findings.ranked,
  };
}
