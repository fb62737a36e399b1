import { LlmctlError } from "../../base/errors.ts";
import { profileSchema } from "../../profiles/schema/schema.ts";
import type { Launch } from "../../supervisor/launch.ts";
import type { Findings } from "./finding.ts";
import { hostMemory, judgeMemory, type MemoryUse, sumMemory } from "./memory-use.ts";
import type { PlanSession } from "./plan-session.ts";
import type { DryRunRequest } from "../render/dry-run-batch.ts";
import { askFitCached } from "../ask/fit-params-cache.ts";
import { findFitParams, type FitAnswer } from "../ask/fit-params.ts";
import { fitArguments } from "../render/fit-arguments.ts";
import { readFlagCatalogue, type FlagCatalogue } from "../ask/flag-catalogue.ts";
import type { DraftDecision } from "./draft-decision.ts";
import { renderServer } from "../render/render-command.ts";

/** The flags of the two programs of one build. */
interface Catalogues {
  readonly server: FlagCatalogue;
  readonly fit: FlagCatalogue;
}

interface MemoryCheck {
  readonly trial: DryRunRequest;
  /** The flags of the server. */
  readonly catalogue: FlagCatalogue;
  /** Those of the target, of the projector and of the adapters. */
  readonly files: Launch["files"];
  readonly draft: DraftDecision;
  readonly findings: Findings;
  /** The memory of a running server is not free, but a restart gets it back. */
  readonly isRunning: boolean;
}

/**
 * Asks the build itself how much memory the models take, where it has the program for it, and finds models that do not
 * fit.
 * @returns the need of each memory; empty where it is not known.
 */
export async function checkMemory(check: MemoryCheck, session: PlanSession): Promise<MemoryUse[]> {
  const { trial, findings } = check;
  // With unified memory a device may hold more than its own memory.
  if (trial.env["GGML_CUDA_ENABLE_UNIFIED_MEMORY"] !== undefined) return [];
  const at = trial.profile.at("model");
  if (trial.profile.values.rpc.workers !== undefined) {
    findings.add("note", "memory-unknown", {
      message: "whether the models fit is not known: they are spread over workers",
      at,
    });
    return [];
  }
  try {
    const answers = await askForBoth(check, session);
    for (const answer of answers) addMisfit(answer, findings, at);
    const uses = await addUp(answers, check, session);
    for (const { rank, device, ...problem } of judgeMemory(uses, options(trial))) {
      if (rank === "error")
        findings.fail(new LlmctlError("memory-too-small", problem.message, { exit: "unavailable", at, ...problem }));
      else findings.add(rank, device === "Host" ? "ram-short" : "device-memory-short", { ...problem, at });
    }
    return uses;
  } catch (error) {
    if (!(error instanceof LlmctlError)) throw error;
    findings.add("note", "memory-unknown", {
      message: `the memory that the models take is not known: ${error.message}`,
      at,
    });
    return [];
  }
}

async function askForBoth(
  { trial, catalogue, files, draft: { path, files: draftFiles } }: MemoryCheck,
  session: PlanSession,
): Promise<FitAnswer[]> {
  const { file: server, env, rendering } = trial;
  const target = await askFit(session, {
    server,
    env,
    files,
    toArguments: (fit) => fitArguments(rendering.flags, fit),
  });
  if (path === undefined) return target === undefined ? [] : [target];
  const toArguments = (fit: FlagCatalogue) => draftArguments(trial, path, { server: catalogue, fit });
  const draft = await askFit(session, { server, env, files: draftFiles, toArguments });
  return [target, draft].filter((answer) => answer !== undefined);
}

/** A question about the memory that a model takes with the flags of one profile. */
interface FitRequest {
  readonly server: string;
  readonly env: Readonly<Record<string, string>>;
  readonly files: Launch["files"];
  /** Writes the question in the flags of llama-fit-params. */
  readonly toArguments: (catalogue: FlagCatalogue) => readonly string[];
}

/** @returns the answer of the llama-fit-params beside a server; undefined where there is none. */
async function askFit(
  session: PlanSession,
  { server, env, files, toArguments }: FitRequest,
): Promise<FitAnswer | undefined> {
  const cacheDir = session.paths.cache;
  const program = await session.once(["fit-params", server], () => findFitParams(server));
  if (program === undefined) return undefined;
  const catalogue = await session.once(["flags", program], () => readFlagCatalogue(program, { cacheDir, env }));
  const args = toArguments(catalogue);
  const devices = await session.listDevices(server, env);
  return session.once(["fit", program, env, args], () =>
    askFitCached({ program, args, env, catalogue, devices, files, cacheDir }),
  );
}

async function addUp(
  answers: readonly FitAnswer[],
  { trial, isRunning }: MemoryCheck,
  session: PlanSession,
): Promise<MemoryUse[]> {
  const parts = answers.flatMap((answer) => (answer.kind === "needs" ? answer.parts : []));
  const isOnDevices = parts.some(({ device }) => device !== "Host");
  const devices = isOnDevices ? await session.listDevices(trial.file, trial.env) : [];
  const memories = [...devices, hostMemory()].map((one) => (isRunning ? { ...one, freeMib: one.totalMib } : one));
  return sumMemory(parts, memories);
}

function options({ profile: { values }, rendering }: DryRunRequest) {
  const hasFit = rendering.flags.every(({ key, args }) => key !== "fit" || args[1] !== "off");
  return {
    canMoveLayers: hasFit && (values.gpu_layers === undefined || values.gpu_layers === "auto"),
    isMapped: values.mmap !== false && values.mlock !== true,
  };
}

function addMisfit(answer: FitAnswer, findings: Findings, at: string): void {
  if (answer.kind !== "does-not-fit") return;
  const fix = "lower ctx_size or gpu_layers, or stop what uses the devices";
  findings.add("warning", "device-memory-short", {
    message: `llama.cpp cannot make the model fit: ${answer.reason}`,
    at,
    fix,
  });
}

/** The flags for the draft model on its own, as if it were a target. */
function draftArguments({ profile }: DryRunRequest, path: string, { server, fit }: Catalogues): string[] {
  const { draft, devices, ctx_size: ctxSize, flash_attn: flashAttention } = profile.values;
  const { gpu_layers, cache_type_k, cache_type_v, cpu_moe, n_cpu_moe, override_tensor } = draft ?? {};
  const values = profileSchema.parse({
    model: path,
    ctx_size: draft?.ctx_size ?? ctxSize,
    devices: draft?.devices ?? devices,
    flash_attn: flashAttention,
    gpu_layers,
    cache_type_k,
    cache_type_v,
    cpu_moe,
    n_cpu_moe,
    override_tensor,
  });
  return fitArguments(renderServer({ ...profile, values }, { target: path }, server).flags, fit);
}
