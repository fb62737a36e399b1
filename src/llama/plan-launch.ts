import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import { LlmctlError } from "../base/errors.ts";
import type { Paths } from "../base/paths.ts";
import { parseDuration, parseSize } from "../base/units.ts";
import { readModel, type GgufModel } from "../gguf/read-model.ts";
import { findModel, searchHubModel, type FindOptions } from "../hub/find-model.ts";
import type { ModelFiles } from "../hub/model-files.ts";
import type { HubModelRef, ModelRef, Profile, ProfileValues } from "../profiles/schema.ts";
import type { Drafting, Launch } from "../supervisor/launch.ts";
import { checkBinary } from "./binary-check.ts";
import { findServer } from "./builds.ts";
import { childEnvironment, strayConfig } from "./child-env.ts";
import { decideDraft } from "./draft-gate.ts";
import { dryRun } from "./dry-run.ts";
import { askBinary, type FlagCatalogue } from "./flag-catalogue.ts";
import { commandLine, renderServer, type RenderedFlag, type Rendering } from "./render.ts";
import { findSkippedDraft } from "./skipped-draft.ts";
import { vocabRule } from "./vocab-rule.ts";

interface PlanOptions {
  readonly paths: Paths;
  readonly env: NodeJS.ProcessEnv;
  /**
   * What to do about what this machine lacks. `mark`, for a plan that is only shown: a missing model file is named in angle brackets, and
   * what the binary refuses is part of the result.
   */
  readonly lacking?: "refuse" | "mark";
}

/** A launch, and how it came about. */
export interface LaunchPlan {
  readonly launch: Launch;
  readonly flags: readonly RenderedFlag[];
  /** Keys that this build gets no flag for, and why. */
  readonly notes: Rendering["notes"];
  /** What a person should know, and that stops nothing. */
  readonly warnings: readonly string[];
  /** What the binary does not accept, such as a device that this machine lacks; only in a plan that is made with `mark`. */
  readonly refusal?: LlmctlError;
}

/** Why a profile without a `draft` key does not draft. */
export const noDraftAsked = "the profile asks for none";

/** The binary answers in about 10 ms; with CUDA it first wakes the driver, which takes seconds on some machines. */
const dryRunTimeoutMs = 60_000;

/**
 * From a profile to what the supervisor runs: finds the build and the model files, reads the headers, decides about drafting, renders the
 * flags, and lets the binary itself parse them. Starts no server and changes nothing but the flag cache.
 * @throws LlmctlError for everything that would keep the server from starting, as far as it can be known before.
 */
export async function planLaunch(profile: Profile, { paths, env, lacking = "refuse" }: PlanOptions): Promise<LaunchPlan> {
  const { values } = profile;
  const childEnv = childEnvironment(env, values.env, (name) => profile.at("env", name));
  const { server, label } = await findServer(values.llama, paths.data, profile.at("llama"));
  await checkBinary(server, profile.at("llama"));
  const catalogue = await askBinary(server, { cacheDir: paths.cache, env: childEnv });
  const models = new ModelReader(profile, paths, lacking);
  const target = await models.read("model", values.model);
  const draft = await decide(profile, target, models, { catalogue, cacheDir: paths.cache });
  const rendering = renderServer(
    profile,
    {
      target: target.path,
      ...(draft.path === undefined ? {} : { draft: draft.path }),
      ...(draft.drafting.wanted || draft.drafting.reason === noDraftAsked ? {} : { draftingOff: draft.drafting.reason }),
    },
    catalogue,
  );
  const args = commandLine(rendering);
  const origin = { profile, rendering };
  const refusal = await findRefusal(dryRun(server, args, { env: childEnv, timeoutMs: dryRunTimeoutMs, origin }));
  if (refusal !== undefined && lacking === "refuse") throw refusal;
  const launch = withHash(values.env, {
    ...common(profile),
    file: server,
    args,
    env: childEnv,
    files: [...target.files, ...draft.files],
    drafting: draft.drafting,
    build: `${label}: ${catalogue.version}`,
  });
  const warnings = [...models.missing, ...draft.warnings, ...(await describeStrayConfig(childEnv))];
  return { launch, flags: rendering.flags, notes: rendering.notes, warnings, ...(refusal === undefined ? {} : { refusal }) };
}

async function findRefusal(run: Promise<void>): Promise<LlmctlError | undefined> {
  try {
    await run;
    return undefined;
  } catch (error) {
    if (error instanceof LlmctlError && error.code === "flag-refused") return error;
    throw error;
  }
}

interface FoundModel {
  /** For the command line; in angle brackets when the file is not here. */
  readonly path: string;
  readonly files: ModelFiles["shards"];
  /** Undefined when the file is not here. */
  readonly model: GgufModel | undefined;
}

/** Finds models and reads their headers, with messages that name the profile's key. */
class ModelReader {
  readonly missing: string[] = [];
  readonly #profile: Profile;
  readonly #paths: Paths;
  readonly #lacking: "refuse" | "mark";

  constructor(profile: Profile, paths: Paths, lacking: "refuse" | "mark") {
    this.#profile = profile;
    this.#paths = paths;
    this.#lacking = lacking;
  }

  async read(key: string, ref: ModelRef): Promise<FoundModel> {
    const at = this.#profile.at(...key.split("."));
    try {
      const files = await findModel(ref, this.#options(at));
      const [first] = files.shards;
      if (first === undefined) throw new Error("a model without files");
      return { path: first.path, files: files.shards, model: await readModel(first.path) };
    } catch (error) {
      if (!(error instanceof LlmctlError)) throw error;
      if (error.code !== "model-missing" || this.#lacking === "refuse") throw placedAt(error, at);
      this.missing.push(`${error.message}; ${error.fix ?? ""}`);
      return { path: `<${describeRef(ref)}>`, files: [], model: undefined };
    }
  }

  /** Whether a Hub model is not complete on disk. */
  async lacks(key: string, ref: HubModelRef): Promise<boolean> {
    return !("files" in (await searchHubModel(ref, this.#options(this.#profile.at(...key.split("."))))));
  }

  #options(at: string): FindOptions {
    return { hubCache: this.#paths.hub, modelDirs: this.#profile.values.model_dirs, profile: this.#profile.name, at };
  }
}

interface DraftDecision {
  readonly drafting: Drafting;
  readonly path?: string;
  readonly files: ModelFiles["shards"];
  readonly warnings: readonly string[];
}

interface DecideOptions {
  readonly catalogue: FlagCatalogue;
  readonly cacheDir: string;
}

async function decide(
  profile: Profile,
  target: FoundModel,
  models: ModelReader,
  { catalogue, cacheDir }: DecideOptions,
): Promise<DraftDecision> {
  const { draft, ctx_size: ctxSize } = profile.values;
  if (draft === undefined) return { drafting: { wanted: false, reason: noDraftAsked }, files: [], warnings: [] };
  const rule = vocabRule((flag) => catalogue.has(flag));
  if (draft.on_mismatch === "disable" && draft.model !== undefined && typeof draft.model !== "string") {
    const skipped = await findSkippedDraft(cacheDir, { targetFiles: target.files, draft: draft.model, type: draft.type, rule });
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
export function draftMismatch(profile: Profile, { reason, fix }: { readonly reason: string; readonly fix: string }): LlmctlError {
  return new LlmctlError("draft-mismatch", `the draft cannot speed up this target: ${reason}`, {
    exit: "config",
    at: profile.at("draft", "model"),
    fix,
  });
}

function common({ name, path, values }: Profile): Omit<Launch, "file" | "args" | "env" | "files" | "drafting" | "build" | "hash"> {
  const { server, health, restart, stop, log } = values;
  return {
    name,
    cwd: dirname(path),
    host: server.host,
    port: server.port === "auto" ? 0 : server.port,
    ...(server.api_key_file === undefined ? {} : { apiKeyFile: server.api_key_file }),
    watchTraffic: health.watch_traffic,
    health: {
      intervalMs: readDuration(health.interval),
      timeoutMs: readDuration(health.timeout),
      failures: health.failures,
      stallTimeoutMs: readDuration(health.stall_timeout),
      hangTimeoutMs: readDuration(health.hang_timeout),
      proofTimeoutMs: readDuration(health.proof_timeout),
    },
    restart: {
      policy: restart.policy,
      maxFailures: restart.max_failures,
      windowMs: readDuration(restart.window),
      backoffMs: readDuration(restart.backoff),
      backoffMaxMs: readDuration(restart.backoff_max),
    },
    stopTimeoutMs: readDuration(stop.timeout),
    log: { maxBytes: readSize(log.max_size), keep: log.keep },
    profilePath: path,
  };
}

/**
 * Two launches with the same hash run the same server in the same way. Of the environment only the profile's part counts: `up` from a shell
 * must find what systemd has started to be the same. Files are named by the arguments.
 */
function withHash(profileEnv: ProfileValues["env"], launch: Omit<Launch, "hash">): Launch {
  const { files: _files, env: _env, ...rest } = launch;
  return {
    ...launch,
    hash: createHash("sha256")
      .update(JSON.stringify({ profileEnv, ...rest }))
      .digest("hex")
      .slice(0, 16),
  };
}

async function describeStrayConfig(env: Readonly<Record<string, string>>): Promise<string[]> {
  const configs = await strayConfig(env);
  return configs.map(({ path, settings }) => `llama.cpp itself reads ${path}, which sets ${settings.join(", ")}; flags of the profile win`);
}

function describeRef(ref: ModelRef): string {
  return typeof ref === "string" ? basename(ref) : `${ref.hf}:${ref.quant ?? ref.file}`;
}

/** The rooms that read files know their path; a person also wants to know which key named it. */
function placedAt(error: LlmctlError, at: string): LlmctlError {
  const [first = { message: error.message }, ...more] = error.problems;
  const place = first.at === undefined || first.at === at ? at : `${at} (${first.at})`;
  return new LlmctlError(
    error.code,
    first.message,
    { exit: error.exit, at: place, ...(first.fix === undefined ? {} : { fix: first.fix }), cause: error },
    more,
  );
}

function readDuration(text: ProfileValues["stop"]["timeout"]): number {
  return readChecked(parseDuration(text), text);
}

function readSize(text: ProfileValues["log"]["max_size"]): number {
  return readChecked(parseSize(text), text);
}

function readChecked(value: number | undefined, text: string): number {
  if (value === undefined) throw new Error(`"${text}" has passed the schema but cannot be read`);
  return value;
}
