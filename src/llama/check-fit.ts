import type { Findings } from "./check-finding.ts";
import { hostMemory, judgeMemory, type MemoryUse, sumMemory } from "./check-memory.ts";
import type { CheckSession } from "./check-session.ts";
import type { Trial } from "./dry-run-many.ts";
import { LlmctlError } from "../base/errors.ts";
import { fitArguments, type FitAnswer } from "./fit-params.ts";
import type { FlagCatalogue } from "./flag-catalogue.ts";
import type { DraftDecision } from "./plan-launch.ts";

interface MemoryCheck {
  readonly trial: Trial;
  readonly draft: DraftDecision;
  readonly findings: Findings;
  /** What it takes is not free then, and yet its own. */
  readonly isRunning: boolean;
}

/**
 * Has the build itself say how much memory the models take, where it has the program for it, and notes what does not fit.
 * @returns what each memory is asked for; empty where that is not known.
 */
export async function checkMemory({ trial, draft, findings, isRunning }: MemoryCheck, session: CheckSession): Promise<MemoryUse[]> {
  const { server, env, profile } = trial;
  // A device may then take more than it has.
  if (env["GGML_CUDA_ENABLE_UNIFIED_MEMORY"] !== undefined) return [];
  const at = profile.at("model");
  try {
    const target = await session.askFit(server, env, (catalogue) => fitArguments(trial.rendering.flags, catalogue));
    const drafted =
      draft.path === undefined
        ? undefined
        : await session.askFit(server, env, (catalogue) => draftArguments(trial, draft.path ?? "", catalogue));
    const answers = [target, drafted].filter((answer) => answer !== undefined);
    for (const answer of answers) addMisfit(answer, findings, at);
    const parts = answers.flatMap((answer) => (answer.kind === "needs" ? answer.parts : []));
    if (parts.length === 0) return [];
    const onDevices = parts.some(({ device }) => device !== "Host");
    const devices = onDevices ? await session.listDevices(server, env, []) : [];
    const memories = [...devices, hostMemory()].map((one) => (isRunning ? { ...one, freeMib: one.totalMib } : one));
    const uses = sumMemory(parts, memories);
    for (const { rank, device, ...problem } of judgeMemory(uses, options(trial))) {
      if (rank === "error") findings.fail(new LlmctlError("memory-too-small", problem.message, { exit: "unavailable", at, ...problem }));
      else findings.add(rank, device === "Host" ? "ram-short" : "device-memory-short", { ...problem, at });
    }
    return uses;
  } catch (error) {
    if (!(error instanceof LlmctlError)) throw error;
    findings.add("note", "memory-unknown", { message: `the memory that the models take is not known: ${error.message}`, at });
    return [];
  }
}

function options({ profile: { values }, rendering }: Trial) {
  const hasFit = rendering.flags.every(({ key, args }) => key !== "fit" || args[1] !== "off");
  return {
    canMoveLayers: hasFit && (values.gpu_layers === undefined || values.gpu_layers === "auto"),
    isMapped: values.mmap !== false && values.mlock !== true,
  };
}

function addMisfit(answer: FitAnswer, findings: Findings, at: string): void {
  if (answer.kind !== "does-not-fit") return;
  const fix = "lower ctx_size or gpu_layers, or stop what uses the devices";
  findings.add("warning", "device-memory-short", { message: `llama.cpp cannot make the model fit: ${answer.reason}`, at, fix });
}

/** The draft model on its own, in the flags of a target. */
function draftArguments({ profile: { values } }: Trial, path: string, catalogue: FlagCatalogue): string[] {
  const { draft, ctx_size: ctxSize } = values;
  const pairs: readonly (readonly [string, string | undefined])[] = [
    ["--model", path],
    ["--ctx-size", (draft?.ctx_size ?? ctxSize)?.toString()],
    ["--device", draft?.devices?.join(",")],
    ["--gpu-layers", draft?.gpu_layers?.toString()],
  ];
  return pairs.flatMap(([flag, value]) => (value === undefined || !catalogue.has(flag) ? [] : [flag, value]));
}
