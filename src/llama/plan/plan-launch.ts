import { createHash } from "node:crypto";
import { LlmctlError } from "../../base/errors.ts";
import { describeInLine, type Fix } from "../../base/fix.ts";
import type { Paths } from "../../base/files/paths.ts";
import { findModel, findOptions } from "../../hub/find/find-model.ts";
import type { ModelFiles } from "../../hub/find/model-files.ts";
import { listSidecars } from "../../profiles/model-refs.ts";
import type { Profile, ProfileValues } from "../../profiles/schema/schema.ts";
import { targetModel } from "../../profiles/target.ts";
import type { Drafting, Launch } from "../../supervisor/launch.ts";
import { findKeyFault, findOpenings } from "../server/access.ts";
import { hasKeyComments } from "../server/api-keys.ts";
import { checkBinary } from "../ask/binary-check.ts";
import { findServer } from "../ask/builds.ts";
import { childEnvironment, strayConfig } from "../ask/child-env.ts";
import { decideDraft } from "../draft/draft-gate.ts";
import { dryRun, dryRunTimeoutMs, findAllRefused, type RefusedFlag } from "../ask/dry-run.ts";
import { askBinary } from "../ask/flag-catalogue.ts";
import { launchSettings } from "./launch-settings.ts";
import { type ProfileModel, ModelReader } from "./model-reader.ts";
import { findExceededLimits } from "./profile-limits.ts";
import type { Program, ModelPaths } from "../render/flag-rule.ts";
import { commandLine, renderCli, renderServer, type RenderedFlag, type Rendering } from "../render/render-command.ts";
import { planWorker } from "./plan-worker.ts";
import { withoutRpc } from "../render/rpc-flags.ts";
import { sealEnv } from "./launch-hash.ts";
import { findSkippedDraft } from "../draft/draft-skip-note.ts";
import { describeStrayConfig, describeStrayVariables } from "../render/stray-flags.ts";
import { describeMissingDigests } from "./missing-digests.ts";
import { vocabRule, type VocabRule } from "../draft/vocab-rule.ts";

interface PlanOptions {
  readonly paths: Paths;
  readonly env: NodeJS.ProcessEnv;
  /**
   * What to do about what this machine lacks. `mark`, for a plan that is only shown: a missing model file is named in
   * angle brackets, and what the binary refuses is part of the result.
   */
  readonly lacking?: "refuse" | "mark";
}

/** How a command came about. */
interface Explained {
  readonly flags: readonly RenderedFlag[];
  /** Keys that this build gets no flag for, and why. */
  readonly notes: Rendering["notes"];
  /** What a person should know, and that stops nothing. */
  readonly warnings: readonly string[];
  /**
   * What the binary does not accept, such as a device that this machine lacks; empty unless the plan is made with
   * `mark`.
   */
  readonly refused: readonly RefusedFlag[];
}

/** A launch, and how it came about. */
export interface LaunchPlan extends Explained {
  readonly launch: Launch;
}

/** A command for a person's terminal, and how it came about. */
export interface CliPlan extends Explained {
  readonly command: Command;
}

/** What is to be run, whoever runs it. */
export interface Command {
  /** Absolute path of the program. */
  readonly file: string;
  readonly args: readonly string[];
  /** The whole environment of the child. */
  readonly env: Readonly<Record<string, string>>;
  /** Files that the child reads while loading. */
  readonly files: ModelFiles["shards"];
  readonly drafting: Drafting;
  /** For people: the build's version line. */
  readonly build: string;
}

/** Why a profile without a `draft` key does not draft. */
export const noDraftAsked = "the profile asks for none";

/**
 * From a profile to what the supervisor runs: finds the build and the model files, reads the headers, decides about
 * drafting, renders the flags, and lets the binary itself parse them. Starts no server and changes nothing but the flag
 * cache.
 * @throws LlmctlError for everything that would keep the server from starting, as far as it can be known before.
 */
export async function planLaunch(profile: Profile, options: PlanOptions): Promise<LaunchPlan> {
  if (profile.values.kind === "rpc-worker") return planWorkerLaunch(profile, options);
  const { command, ...explained } = await planProgram(profile, "llama-server", options);
  const env = await sealEnv(profile.values.env, options.paths.data);
  return { launch: withHash(env, { ...launchSettings(profile), ...command }), ...explained };
}

async function planWorkerLaunch(profile: Profile, options: PlanOptions): Promise<LaunchPlan> {
  const { file, env, flags, build } = await planWorker(profile, options);
  const args = flags.flatMap((flag) => flag.args);
  const drafting: Drafting = { wanted: false, reason: noDraftAsked };
  const launch = withHash(await sealEnv(profile.values.env, options.paths.data), {
    ...launchSettings(profile),
    watchTraffic: false,
    file,
    args,
    env,
    files: [],
    drafting,
    build,
  });
  return { launch, flags, notes: [], warnings: [unprotected], refused: [] };
}

/** Upstream's own words for its RPC: fragile and insecure. */
const unprotected = "llama.cpp's RPC has neither passwords nor encryption: keep it on a private network";

/**
 * From a profile to its llama-cli, as {@link planLaunch} does it for the server.
 * @throws LlmctlError as planLaunch, and `cli-missing` for a llama-server that has no llama-cli beside it. Builds whose
 *   llama-cli cannot draft refuse a profile with a draft model (`profile-unrenderable`).
 */
export async function planCli(profile: Profile, options: PlanOptions): Promise<CliPlan> {
  return planProgram(profile, "llama-cli", options);
}

async function planProgram(
  profile: Profile,
  program: Program,
  { paths, env, lacking = "refuse" }: PlanOptions,
): Promise<CliPlan> {
  const { values } = profile;
  const childEnv = childEnvironment(env, values.env, (name) => profile.at("env", name));
  const found = await findServer(values.llama, paths.data, profile.at("llama"));
  const file = program === "llama-server" ? found.server : (found.cli ?? cliMissing(found.server, profile.at("llama")));
  await checkBinary(file, profile.at("llama"));
  const catalogue = await askBinary(file, { cacheDir: paths.cache, env: childEnv });
  const models = new ModelReader(profile, paths, lacking);
  const target = await models.read("model", targetModel(profile));
  const draft = await decideDrafting(profile, target, models, {
    rule: vocabRule((flag) => catalogue.has(flag)),
    cacheDir: paths.cache,
  });
  const sidecars = await readSidecars(values, models);
  const plain = lacking === "refuse" ? await findPlainSidecars(profile, paths) : [];
  const files = modelsToRender(target, draft, sidecars);
  const rendering =
    program === "llama-server" ? renderServer(profile, files, catalogue) : renderCli(profile, files, catalogue);
  const args = commandLine(rendering);
  const trial = { env: childEnv, timeoutMs: dryRunTimeoutMs };
  const origin = { profile, rendering };
  const keyFault = program === "llama-server" ? findKeyFault(profile, hasKeyComments(catalogue)) : undefined;
  if (lacking === "refuse" && keyFault !== undefined) throw keyFault;
  const refused = lacking === "mark" ? addKeyFault(await findAllRefused(file, origin, trial), rendering, keyFault) : [];
  if (lacking === "refuse")
    await dryRun(
      file,
      withoutRpc(rendering.flags).flatMap((flag) => flag.args),
      { ...trial, origin },
    );
  return {
    command: {
      file,
      args,
      env: childEnv,
      files: [...target.files, ...draft.files, ...sidecars.files, ...plain],
      drafting: draft.drafting,
      build: `${found.label}: ${catalogue.version}`,
    },
    flags: rendering.flags,
    notes: rendering.notes,
    warnings: [
      ...models.missing,
      ...(program === "llama-server" ? findOpenings(profile).map(describeInLine) : []),
      ...(values.rpc.workers === undefined ? [] : [unprotected]),
      ...(await describeMissingDigests(values, paths)),
      ...draft.warnings,
      ...findExceededLimits(profile, { target: target.model, flags: rendering.flags }).map(describeInLine),
      ...describeStrayVariables(env, childEnv, catalogue),
      ...describeStrayConfig(await strayConfig(childEnv), args, catalogue),
    ],
    refused,
  };
}

/** The binary itself refuses only a key file that it cannot open. */
function addKeyFault(
  refused: readonly RefusedFlag[],
  { flags }: Rendering,
  error: LlmctlError | undefined,
): readonly RefusedFlag[] {
  if (error === undefined) return refused;
  const flag = flags.find(({ key }) => key === "server.api_key_file");
  return [{ ...(flag === undefined ? {} : { flag }), error }, ...refused.filter((one) => one.flag !== flag)];
}

/** What the rendering is told of the models. */
export function modelsToRender(
  target: ProfileModel,
  { path, drafting }: DraftDecision,
  { paths }: SidecarFiles,
): ModelPaths {
  return {
    target: target.path,
    sidecars: paths,
    ...(path === undefined ? {} : { draft: path }),
    ...(drafting.wanted || drafting.reason === noDraftAsked ? {} : { draftingOff: drafting.reason }),
  };
}

/** What is loaded beside the models, and had to be fetched. */
export interface SidecarFiles {
  /** By key, for `ModelPaths`. */
  readonly paths: ReadonlyMap<string, string>;
  readonly files: ModelFiles["shards"];
}

/** Finds the projector and the adapters that are no plain paths. @throws what `models` throws. */
export async function readSidecars(values: ProfileValues, models: Pick<ModelReader, "read">): Promise<SidecarFiles> {
  const found = new Map<string, ProfileModel>();
  for (const { key, ref } of listSidecars(values)) {
    if (typeof ref !== "string") found.set(key.join("."), await models.read(key.join("."), ref));
  }
  return {
    paths: new Map([...found].map(([key, { path }]) => [key, path])),
    files: [...found.values()].flatMap(({ files }) => files),
  };
}

/**
 * The projector and the adapters that are plain paths: a server says that one is missing only after it has loaded the
 * model.
 * @throws as `findModel`.
 */
async function findPlainSidecars(profile: Profile, paths: Paths): Promise<ModelFiles["shards"]> {
  const found = listSidecars(profile.values).map(async ({ key, ref }) =>
    typeof ref === "string"
      ? (await findModel(ref, { ...findOptions(profile, paths), at: profile.at(...key) })).shards
      : [],
  );
  return (await Promise.all(found)).flat();
}

/** @throws LlmctlError `cli-missing`, always. */
export function cliMissing(server: string, at: string): never {
  throw new LlmctlError("cli-missing", `there is no llama-cli beside "${server}"`, {
    exit: "missingFile",
    at,
    fix: { run: ["build"], after: ", which makes both", or: "name a build in llama.build" },
  });
}

/** Whether a profile's server is to draft, and with what. */
export interface DraftDecision {
  readonly drafting: Drafting;
  readonly path?: string;
  readonly files: ModelFiles["shards"];
  readonly warnings: readonly string[];
}

interface DecideOptions {
  readonly rule: VocabRule;
  readonly cacheDir: string;
}

/**
 * Reads the draft's headers and decides by them.
 * @throws LlmctlError `draft-mismatch` where the profile wants that, and what `models` throws.
 */
export async function decideDrafting(
  profile: Profile,
  target: ProfileModel,
  models: Pick<ModelReader, "read" | "lacks">,
  { rule, cacheDir }: DecideOptions,
): Promise<DraftDecision> {
  const { draft, ctx_size: ctxSize } = profile.values;
  if (draft === undefined) return { drafting: { wanted: false, reason: noDraftAsked }, files: [], warnings: [] };
  if (draft.on_mismatch === "disable" && draft.model !== undefined && typeof draft.model !== "string") {
    const skipped = await findSkippedDraft(cacheDir, {
      targetFiles: target.files,
      draft: draft.model,
      type: draft.type,
      rule,
    });
    if (skipped !== undefined && (await models.lacks("draft.model", draft.model))) {
      return { drafting: { wanted: false, reason: skipped }, files: [], warnings: [] };
    }
  }
  const found = draft.model === undefined ? undefined : await models.read("draft.model", draft.model);
  const accepted: DraftDecision = {
    drafting: { wanted: true, onFailure: draft.on_mismatch === "fail" ? "fail" : "serve" },
    ...(found === undefined ? {} : { path: found.path }),
    files: found?.files ?? [],
    warnings: [],
  };
  if (target.model === undefined || (found !== undefined && found.model === undefined)) return accepted;
  const verdict = decideDraft({ target: target.model, draft: found?.model, type: draft.type, rule, ctxSize });
  if (verdict.verdict === "on") return { ...accepted, warnings: verdict.warnings };
  if (draft.on_mismatch === "fail") throw draftMismatch(profile, verdict);
  return { drafting: { wanted: false, reason: verdict.reason }, files: [], warnings: verdict.warnings };
}

/** What `on_mismatch: fail` makes of a verdict that is not `on`. */
export function draftMismatch(
  profile: Profile,
  { reason, fix }: { readonly reason: string; readonly fix: Fix },
): LlmctlError {
  return new LlmctlError("draft-mismatch", `the draft cannot speed up this target: ${reason}`, {
    exit: "config",
    at: profile.at("draft", "model"),
    fix,
  });
}

/**
 * Two launches with the same hash run the same server in the same way. Of the environment only the profile's part
 * counts: `up` from a shell must find what systemd has started to be the same. Files and workers are named by the
 * arguments, the protocol by the program. What it depends on is no reason to load a model anew, nor is another version
 * of llmctl.
 */
function withHash(profileEnv: string, launch: Omit<Launch, "hash">): Launch {
  const {
    version: _version,
    files: _files,
    env: _env,
    dependsOn: _dependsOn,
    protocol: _protocol,
    rpcWorkers: _rpcWorkers,
    ...rest
  } = launch;
  return {
    ...launch,
    hash: createHash("sha256")
      .update(JSON.stringify({ profileEnv, ...rest }))
      .digest("hex")
      .slice(0, 16),
  };
}
