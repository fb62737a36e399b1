import { LlmctlError } from "../../base/errors.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { targetModel } from "../../profiles/target.ts";
import type { Drafting, Launch } from "../../supervisor/launch.ts";
import { type Finding, Findings } from "./finding.ts";
import { type MemoryUse } from "./memory-use.ts";
import { checkMemory } from "./memory-findings.ts";
import { type AskedBuild, type PlanSession, mapOverProcessors } from "./plan-session.ts";
import { findKeyFault, findOpenings } from "../server/access.ts";
import { hasKeyComments } from "../server/api-keys.ts";
import { childEnvironment } from "../ask/child-env.ts";
import { addPort, isProfileRunning } from "./port-findings.ts";
import { checkWorkerProfile } from "./check-worker.ts";
import { type Device, findMissingDevices, namedDevices } from "../ask/devices.ts";
import { askWorkers } from "../ask/rpc-workers.ts";
import { tryCommandLines, type Trial, type TrialResult } from "../ask/dry-run-many.ts";
import type { ProfileModel } from "./model-reader.ts";
import { type DraftDecision, decideDrafting, modelsToRender, noDraftAsked, readSidecars } from "./plan-launch.ts";
import { findExceededLimits } from "./profile-limits.ts";
import { commandLine, type RenderedFlag, type Rendering, renderServer } from "../render/render-command.ts";
import { describeStrayConfig, describeStrayVariables } from "../render/stray-flags.ts";
import { describeMissingDigests } from "./missing-digests.ts";
import { vocabRule } from "../draft/vocab-rule.ts";

/** All that can be known of a profile before a start. */
export interface ProfileCheck {
  readonly profile: Profile;
  /** For people; undefined where no build could be asked. */
  readonly build: string | undefined;
  readonly files: Launch["files"];
  readonly flags: readonly RenderedFlag[];
  readonly notes: Rendering["notes"];
  readonly drafting: Drafting;
  /** Empty where the build cannot tell it. */
  readonly memory: readonly MemoryUse[];
  /** Errors first. */
  readonly findings: readonly Finding[];
}

/**
 * Does everything of a start but the start, for any number of profiles, and goes on after a failure with whatever does
 * not need what failed. The steps are those of `planLaunch`; beyond them it looks at each device, at memory and at the
 * port.
 */
export async function checkProfiles(profiles: readonly Profile[], session: PlanSession): Promise<ProfileCheck[]> {
  const isWorker = ({ values }: Profile) => values.kind === "rpc-worker";
  const prepared = await mapOverProcessors(
    profiles.filter((profile) => !isWorker(profile)),
    (profile) => prepare(profile, session),
  );
  const trials = await tryCommandLines(prepared.flatMap(({ trial }) => trial ?? []));
  const byProfile = new Map(prepared.map((one) => [one.profile, one]));
  return mapOverProcessors(profiles, (profile) => {
    const one = byProfile.get(profile);
    return one === undefined
      ? checkWorkerProfile(profile, session)
      : finish(one, one.trial && trials.get(one.trial), session);
  });
}

/** A profile up to its command line. */
interface Prepared {
  readonly profile: Profile;
  readonly findings: Findings;
  readonly env: Readonly<Record<string, string>>;
  readonly build: AskedBuild | undefined;
  readonly target: ProfileModel;
  readonly draft: DraftDecision;
  readonly sidecars: Launch["files"];
  /** Undefined where there is no build, or it cannot say the profile. */
  readonly trial: Trial | undefined;
  /** Found already, in better words than the binary has for it. */
  readonly hasKeyFault: boolean;
}

async function prepare(profile: Profile, session: PlanSession): Promise<Prepared> {
  const findings = new Findings();
  const { values } = profile;
  const profileEnv = (own: Readonly<Record<string, string>>) =>
    childEnvironment(session.env, own, (name) => profile.at("env", name));
  const env = (await findings.settle(() => profileEnv(values.env))) ?? profileEnv({});
  const build = await findings.settle(() => session.findBuild(profile, env));
  const models = new TolerantReader(profile, session, findings);
  const target = await models.read("model", targetModel(profile));
  const rule = build === undefined ? "strict" : vocabRule((flag) => build.catalogue.has(flag));
  const decided = await findings.settle(() =>
    decideDrafting(profile, target, models, { rule, cacheDir: session.paths.cache }),
  );
  const draft = decided ?? { drafting: { wanted: false, reason: "the draft does not fit" }, files: [], warnings: [] };
  const sidecars = await readSidecars(values, models);
  const files = modelsToRender(target, draft, sidecars);
  const rendering = build && (await findings.settle(() => renderServer(profile, files, build.catalogue)));
  const trial = build && rendering && { server: build.server, env, profile, rendering };
  const keyFault = findKeyFault(profile, build === undefined || hasKeyComments(build.catalogue));
  if (keyFault !== undefined) findings.fail(keyFault);
  addWarnings({ profile, findings, draft, isDecided: decided !== undefined });
  return {
    profile,
    findings,
    env,
    build,
    target,
    draft,
    sidecars: sidecars.files,
    trial,
    hasKeyFault: keyFault !== undefined,
  };
}

/**
 * Reads models for {@link decideDrafting}: one that cannot be read is a finding, and counts as one that is not here.
 */
class TolerantReader {
  readonly #profile: Profile;
  readonly #session: PlanSession;
  readonly #findings: Findings;

  constructor(profile: Profile, session: PlanSession, findings: Findings) {
    this.#profile = profile;
    this.#session = session;
    this.#findings = findings;
  }

  async read(...[key, ref]: Parameters<ReaderMethods["read"]>): Promise<ProfileModel> {
    const found = await this.#findings.settle(() => this.#session.readModel(this.#profile, key, ref));
    return found ?? { path: `<${key}>`, files: [], model: undefined };
  }

  async lacks(...args: Parameters<ReaderMethods["lacks"]>): Promise<boolean> {
    return this.#session.reader(this.#profile).lacks(...args);
  }
}

type ReaderMethods = Parameters<typeof decideDrafting>[2];

interface Decided extends Pick<Prepared, "profile" | "findings" | "draft"> {
  readonly isDecided: boolean;
}

function addWarnings({ profile, findings, draft: { drafting, warnings }, isDecided }: Decided): void {
  const at = profile.at("draft", "model");
  if (isDecided && !drafting.wanted && drafting.reason !== noDraftAsked) {
    findings.add("warning", "drafting-off", { message: `drafting is off: ${drafting.reason}`, at });
  }
  for (const message of warnings) findings.add("warning", "draft-pair", { message, at });
  for (const { code, ...opening } of findOpenings(profile)) findings.add("warning", code, opening);
}

async function finish(
  prepared: Prepared,
  result: TrialResult | undefined,
  session: PlanSession,
): Promise<ProfileCheck> {
  const { profile, findings, build, target, draft, sidecars, trial } = prepared;
  const { flags, notes } = trial?.rendering ?? { flags: [], notes: [] };
  const isRunning = await isProfileRunning(profile, session.paths, findings);
  const remote = isRunning ? undefined : await askForDevices(prepared);
  const unknown = await addMissingDevices(prepared, remote, session);
  addRefusals(prepared, result, unknown);
  for (const { code, ...limit } of findExceededLimits(profile, { target: target.model, flags }))
    findings.add("warning", code, limit);
  for (const message of await describeMissingDigests(profile.values, session.paths))
    findings.add("note", "no-digest", { message });
  for (const message of await describeStray(prepared, session)) findings.add("warning", "stray-flags", { message });
  const isSound = trial !== undefined && findings.ranked.every(({ rank }) => rank !== "error");
  const files = [...target.files, ...sidecars];
  const memory =
    isSound && build
      ? await checkMemory({ trial, catalogue: build.catalogue, files, draft, findings, isRunning }, session)
      : [];
  if (!isRunning) await addPort(profile, findings);
  const isOff = !draft.drafting.wanted; // then what is left out for that reason is told already
  for (const { key, reason } of notes.filter(({ key: left }) => !isOff || !left.startsWith("draft."))) {
    findings.add("note", "key-left-out", { message: `${key}: ${reason}`, at: profile.at(...key.split(".")) });
  }
  return {
    profile,
    build: build && `${build.label}: ${build.catalogue.version}`,
    files: [...files, ...draft.files],
    flags,
    notes,
    drafting: draft.drafting,
    memory,
    findings: findings.ranked,
  };
}

async function describeStray({ env, build, trial }: Prepared, session: PlanSession): Promise<string[]> {
  if (build === undefined) return [];
  const args = trial === undefined ? [] : commandLine(trial.rendering);
  const configs = await session.readStrayConfig(env);
  return [
    ...describeStrayVariables(session.env, env, build.catalogue),
    ...describeStrayConfig(configs, args, build.catalogue),
  ];
}

/** The devices of the workers, with a finding where one cannot be used; undefined where they are not known. */
async function askForDevices({
  profile,
  findings,
  build,
  trial,
  env,
}: Prepared): Promise<readonly Device[] | undefined> {
  const { workers } = profile.values.rpc;
  if (workers === undefined || build === undefined || trial === undefined) return undefined;
  const answer = await askWorkers(build.server, env, workers);
  if (!("worker" in answer)) return answer;
  const at = profile.at("rpc", "workers", workers.indexOf(answer.worker));
  findings.fail(new LlmctlError("rpc-worker-unusable", answer.message, { exit: "unavailable", at, fix: answer.fix }));
  return undefined;
}

/**
 * @param remote Devices of workers; undefined where they could not be asked: then those that are named are believed.
 * @returns the names of those that are missing.
 */
async function addMissingDevices(
  { profile, findings, build, env }: Prepared,
  remote: readonly Device[] | undefined,
  session: PlanSession,
): Promise<ReadonlySet<string>> {
  const isBelieved = (name: string) =>
    profile.values.rpc.workers !== undefined && remote === undefined && /^RPC/i.test(name);
  const keys = namedDevices(profile.values);
  if (build === undefined || keys.length === 0) return new Set();
  const local = await findings.settle(() => session.listDevices(build.server, env));
  const devices = [...(local ?? []), ...(remote ?? [])];
  const missing =
    local === undefined
      ? []
      : keys.flatMap((key) => findMissingDevices(profile, key, devices)).filter(({ name }) => !isBelieved(name));
  for (const { name: _name, ...problem } of missing) {
    findings.fail(new LlmctlError("device-missing", problem.message, { exit: "unavailable", ...problem }));
  }
  return new Set(missing.map(({ name }) => name));
}

/** @param told Devices that are known to be missing, which the binary refuses, too. */
function addRefusals(
  { findings, hasKeyFault }: Prepared,
  result: TrialResult | undefined,
  told: ReadonlySet<string>,
): void {
  if (result instanceof LlmctlError) return findings.fail(result);
  for (const { flag, error } of result ?? []) {
    if (hasKeyFault && flag?.key === "server.api_key_file") continue;
    const words = flag?.args.flatMap((word) => word.split(",")) ?? [];
    if (!words.some((word) => told.has(word))) findings.fail(error);
  }
}
