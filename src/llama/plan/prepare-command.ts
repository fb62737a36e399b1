import type { LlmctlError } from "../../base/errors.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { targetModel } from "../../profiles/target.ts";
import { splitDraftingTypes } from "../../profiles/rules/drafting-types.ts";
import type { Launch } from "../../supervisor/launch.ts";
import { type AskedBuild, describeBuild } from "../ask/asked-build.ts";
import { childEnvironment } from "../ask/child-env.ts";
import { describeComputing } from "../ask/computing-machine.ts";
import type { RefusedFlag } from "../render/dry-run.ts";
import type { DryRunRequest } from "../render/dry-run-batch.ts";
import { vocabRuleFromFlags } from "../draft/build-vocab-rule.ts";
import type { CostedServer } from "../draft/launch-costs.ts";
import type { ModelPaths, Program } from "../render/flag-rule.ts";
import { commandLine, renderCli, renderServer } from "../render/render-command.ts";
import { findKeyFileFault } from "../server/api-key-checks.ts";
import { hasKeyComments } from "../server/api-keys.ts";
import { decideDrafting, type DraftDecision } from "./draft-decision.ts";
import type { Findings } from "./finding.ts";
import { ModelReader, type SidecarFiles } from "./model-reader.ts";
import type { PlanSession, ProfileModel } from "./plan-session.ts";

/** What the steps of a plan share. */
export interface Planning {
  readonly session: PlanSession;
  readonly findings: Findings;
}

/** A profile on its way to a command: all that is known before the binary itself tries the command line. */
export interface PreparedCommand {
  readonly profile: Profile;
  readonly program: Program;
  /** The whole environment of the program. */
  readonly env: Readonly<Record<string, string>>;
  /** Undefined where no build could be asked; that is an error among the findings. */
  readonly build: AskedBuild | undefined;
  readonly target: ProfileModel;
  readonly draft: DraftDecision;
  readonly sidecars: SidecarFiles;
  /** Undefined where there is no build, or where it lacks a flag; both are errors among the findings. */
  readonly trial: DryRunRequest | undefined;
  /** Why the API keys cannot be used. */
  readonly keyFault: LlmctlError | undefined;
}

/** The decision where deciding failed: the reason is an error among the findings. */
export const undecidedDraft: DraftDecision = {
  drafting: { wanted: false, reason: "the draft does not fit" },
  files: [],
  warnings: [],
};

/**
 * The first half of every plan: finds the build and the model files, reads the headers, decides about drafting and
 * renders the flags. Cheap questions come before dear ones.
 * @throws LlmctlError where the policy of the findings says so, else nothing that llmctl knows.
 */
export async function prepareCommand(
  profile: Profile,
  program: Program,
  { session, findings }: Planning,
): Promise<PreparedCommand> {
  const env = await findEnvironment(profile, { session, findings });
  const build = await findings.settle(() => session.findBuild(profile, program, env));
  const models = new ModelReader(profile, session, findings);
  const target = await models.read(["model"], targetModel(profile));
  const rule = build === undefined ? "strict" : vocabRuleFromFlags((flag) => build.catalogue.has(flag));
  const draft =
    (await findings.settle(() => decideDrafting(profile, { target, models, rule, cacheDir: session.paths.cache }))) ??
    undecidedDraft;
  const sidecars = await models.readSidecars();
  const paths = modelPaths(target, draft, sidecars);
  const render = program === "llama-server" ? renderServer : renderCli;
  const rendering = build && (await findings.settle(() => render(profile, paths, build.catalogue)));
  const trial = build && rendering && { file: build.file, env, profile, rendering };
  const keyFault = program === "llama-server" ? findFaultOfKeys(profile, build) : undefined;
  return { profile, program, env, build, target, draft, sidecars, trial, keyFault };
}

/** A variable that is refused is left out, where the plan goes on without it. */
async function findEnvironment(profile: Profile, { session, findings }: Planning): Promise<Record<string, string>> {
  const build = (own: Readonly<Record<string, string>>) =>
    childEnvironment(session.env, own, (name) => profile.at("env", name));
  return (await findings.settle(() => build(profile.values.env))) ?? build({});
}

function findFaultOfKeys(profile: Profile, build: AskedBuild | undefined): LlmctlError | undefined {
  return findKeyFileFault(profile, build === undefined || hasKeyComments(build.catalogue));
}

/** The files that the flags name. */
function modelPaths(target: ProfileModel, { path, drafting }: DraftDecision, { paths }: SidecarFiles): ModelPaths {
  return {
    target: target.path,
    sidecars: paths,
    ...(path === undefined ? {} : { draft: path }),
    ...(drafting.wanted ? {} : { draftingOff: drafting.reason }),
  };
}

/**
 * The same server without its draft, for a profile with `on_loss: restart`. Its flags are some of those that the binary
 * parses, so it does not parse them again.
 * @returns undefined where none is wanted, or where the server does not draft anyway.
 */
export function renderFallback(prepared: PreparedCommand): Launch["fallback"] {
  const { profile, build, target, draft, sidecars } = prepared;
  if (build === undefined || !draft.drafting.wanted || profile.values.draft?.on_loss !== "restart") return undefined;
  const models = { target: target.path, sidecars: sidecars.paths, draftingOff: "it costs more than it brings" };
  const args = commandLine(renderServer(profile, models, build.catalogue));
  return { args, files: [...target.files, ...sidecars.files] };
}

/**
 * A prepared server, as far as the costs of its models depend on it; undefined where there is no command.
 * @param profileEnv The profile's variables, as `sealEnv` gives them.
 */
export function describeCosted(
  prepared: PreparedCommand,
  profileEnv: string,
  session: PlanSession,
): CostedServer | undefined {
  const { profile, build, trial, target, draft, sidecars, env } = prepared;
  if (build === undefined || trial === undefined) return undefined;
  return {
    file: build.file,
    build: describeBuild(build),
    targetFiles: [...target.files, ...sidecars.files],
    draftFiles: draft.files,
    types: splitDraftingTypes(profile.values.draft?.type ?? "none"),
    isDrafting: draft.drafting.wanted,
    flags: trial.rendering.flags,
    profileEnv,
    describeMachine: () => describeComputing(() => session.listDevices(build.file, env)),
  };
}

/** Adds our own error about a key file, in place of the binary's: that one only says that it cannot open the file. */
export function addKeyFault(
  refused: readonly RefusedFlag[],
  { trial, keyFault: error }: Pick<PreparedCommand, "trial" | "keyFault">,
): readonly RefusedFlag[] {
  if (error === undefined) return refused;
  const flag = trial?.rendering.flags.find(({ key }) => key === "server.api_key_file");
  const others = refused.filter((one) => one.flag !== flag);
  return [{ ...(flag === undefined ? {} : { flag }), error }, ...others];
}
