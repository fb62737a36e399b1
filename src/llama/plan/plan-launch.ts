import type { LlmctlError } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { ModelFiles } from "../../hub/find/model-files.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import type { Launch, WantedProof } from "../../supervisor/launch.ts";
import { describeBuild } from "../ask/asked-build.ts";
import { dryRun, dryRunTimeoutMs, findRefusedFlags, type RefusedFlag } from "../render/dry-run.ts";
import type { DryRunRequest } from "../render/dry-run-batch.ts";
import { type CostKeys, findLaunchCosts } from "../draft/launch-costs.ts";
import type { Program, RenderedFlag } from "../render/flag-rule.ts";
import { commandLine, type Rendering } from "../render/render-command.ts";
import { withoutRpc } from "../render/rpc-flags.ts";
import { noDraftAsked } from "./draft-decision.ts";
import { type Finding, Findings } from "./finding.ts";
import { withHash } from "./launch-hash.ts";
import { launchSettings } from "./launch-settings.ts";
import { PlanSession } from "./plan-session.ts";
import { sealEnv } from "./seal-env.ts";
import { addPlanWarnings, addRpcWarning } from "./plan-warnings.ts";
import { planWorker } from "./plan-worker.ts";
import {
  addKeyFault,
  describeCosted,
  type Planning,
  prepareCommand,
  type PreparedCommand,
  renderFallback,
} from "./prepare-command.ts";

interface PlanOptions {
  readonly paths: Paths;
  readonly env: NodeJS.ProcessEnv;
  /**
   * What to do about what this machine lacks. `mark`, for a plan that is only shown: a missing model file is named in
   * angle brackets, and what the binary refuses is part of the result.
   */
  readonly lacking?: "refuse" | "mark";
  /** Answers that the plans of one command share; of its own paths and environment. */
  readonly session?: PlanSession;
}

/** A command, and how it came about. */
interface Explained {
  readonly flags: readonly RenderedFlag[];
  /** Keys that this build gets no flag for, and why. */
  readonly notes: Rendering["notes"];
  /** Warnings and notes; with `mark` also an error for each model that is not on this machine. */
  readonly findings: readonly Finding[];
  /** Flags that the binary refuses, such as a missing device; empty unless the plan is made with `mark`. */
  readonly refused: readonly RefusedFlag[];
}

/** A launch, and how it came about. */
export interface LaunchPlan extends Explained {
  readonly launch: Launch;
  /** Where costs of its models are kept; undefined for a worker, and where the binary cannot be looked at. */
  readonly costKeys: CostKeys | undefined;
}

/** A command for a person's terminal, and how it came about. */
export interface CliPlan extends Explained {
  readonly command: Command;
}

/** A program to run, with all that it needs. */
export interface Command {
  /** Absolute path of the program. */
  readonly file: string;
  readonly args: readonly string[];
  /** The whole environment of the child. */
  readonly env: Readonly<Record<string, string>>;
  /** Files that the child reads while loading. */
  readonly files: ModelFiles["shards"];
  readonly proof: WantedProof;
  /** For people: the build's version line. */
  readonly build: string;
}

/**
 * Plans a launch for the supervisor: finds the build and the model files, reads the headers, decides about drafting,
 * renders the flags, and lets the binary itself parse them. Starts no server and changes nothing but the flag cache.
 * @throws LlmctlError the first error that would keep the server from starting, as far as it can be known before.
 */
export async function planLaunch(profile: Profile, asked: PlanOptions): Promise<LaunchPlan> {
  const { session = new PlanSession(asked.paths, asked.env) } = asked;
  const options = { ...asked, session };
  const { env, kind } = profile.values;
  const profileEnv = await sealEnv(env, options.paths.data);
  const settings = launchSettings(profile);
  if (kind === "rpc-worker") {
    const { command, ...explained } = await planWorkerProgram(profile, options);
    return { launch: withHash(profileEnv, { ...settings, ...command }), ...explained, costKeys: undefined };
  }
  const { prepared, plan } = await planProgram(profile, "llama-server", options);
  const { command, ...explained } = plan;
  const costed = describeCosted(prepared, profileEnv, session);
  const { costs, costKeys } = (costed && (await findLaunchCosts(costed, options.paths.data))) ?? {};
  const fallback = renderFallback(prepared);
  const launch = {
    ...settings,
    ...command,
    ...(costs === undefined ? {} : { costs }),
    ...(fallback === undefined ? {} : { fallback }),
  };
  return { launch: withHash(profileEnv, launch), ...explained, costKeys };
}

/**
 * Plans a profile's llama-cli, as {@link planLaunch} does it for the server.
 * @throws LlmctlError as planLaunch, and `cli-missing` for a llama-server that has no llama-cli beside it. Builds whose
 *   llama-cli cannot draft refuse a profile with a draft model (`profile-unrenderable`).
 */
export async function planCli(profile: Profile, options: PlanOptions): Promise<CliPlan> {
  return (await planProgram(profile, "llama-cli", options)).plan;
}

function startPlanning({
  paths,
  env,
  lacking = "refuse",
  session = new PlanSession(paths, env),
}: PlanOptions): Planning {
  return { session, findings: new Findings(lacking === "refuse" ? "throw" : "mark") };
}

async function planProgram(
  profile: Profile,
  program: Program,
  options: PlanOptions,
): Promise<{ readonly prepared: PreparedCommand; readonly plan: CliPlan }> {
  const planning = startPlanning(options);
  const prepared = await prepareCommand(profile, program, planning);
  const { build, trial } = prepared;
  if (build === undefined || trial === undefined) throw new Error("a plan went on after an error");
  const refused = await tryCommand(trial, prepared.keyFault, planning.findings);
  await addPlanWarnings(prepared, planning);
  const { flags, notes } = trial.rendering;
  const plan = {
    command: { ...toCommand(prepared, trial), build: describeBuild(build) },
    flags,
    notes,
    findings: planning.findings.ranked,
    refused,
  };
  return { prepared, plan };
}

/** Has the binary parse its command line. @throws the first refusal, where the policy of the findings says so. */
async function tryCommand(
  trial: DryRunRequest,
  keyFault: LlmctlError | undefined,
  { policy }: Findings,
): Promise<readonly RefusedFlag[]> {
  const { file, env, profile, rendering } = trial;
  const origin = { profile, rendering };
  const options = { env, timeoutMs: dryRunTimeoutMs };
  if (policy !== "throw") return addKeyFault(await findRefusedFlags(file, origin, options), { trial, keyFault });
  if (keyFault !== undefined) throw keyFault;
  const args = withoutRpc(rendering.flags).flatMap((flag) => flag.args);
  await dryRun(file, args, { ...options, origin });
  return [];
}

function toCommand(
  { env, target, draft, sidecars }: PreparedCommand,
  { file, rendering }: DryRunRequest,
): Omit<Command, "build"> {
  return {
    file,
    args: commandLine(rendering),
    env,
    files: [...target.files, ...draft.files, ...sidecars.files],
    proof: draft.drafting,
  };
}

async function planWorkerProgram(profile: Profile, options: PlanOptions): Promise<CliPlan> {
  const { session, findings } = startPlanning(options);
  const { file, env, flags, build } = await planWorker(profile, session);
  addRpcWarning(profile, findings);
  const args = flags.flatMap((flag) => flag.args);
  const proof: WantedProof = { wanted: false, reason: noDraftAsked };
  const command = { file, args, env, files: [], proof, build };
  return { command, flags, notes: [], findings: findings.ranked, refused: [] };
}
