import { access, constants } from "node:fs/promises";
import { dirname, join } from "node:path";
import { systemErrorCode } from "../../base/errors.ts";
import { explainFailedRun } from "./failed-run.ts";
import type { FlagCatalogue } from "./flag-catalogue.ts";
import { parseRefusal } from "./refusal-text.ts";
import { runBriefly } from "./run-briefly.ts";

/** The memory that one model needs on one device, in MiB. */
export interface MemoryPart {
  /** The name in `--list-devices`, or `Host`. */
  readonly device: string;
  readonly modelMib: number;
  readonly contextMib: number;
  readonly computeMib: number;
}

/** The answer of llama-fit-params. Builds before March 2026 answer only whether a model fits. */
export type FitAnswer =
  | { readonly kind: "needs"; readonly parts: readonly MemoryPart[] }
  | { readonly kind: "fits" }
  | { readonly kind: "does-not-fit"; readonly reason: string };

/** The llama-fit-params in the folder of this server; undefined when there is none. */
export async function findFitParams(server: string): Promise<string | undefined> {
  const path = join(dirname(server), "llama-fit-params");
  try {
    await access(path, constants.X_OK);
    return path;
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}

export interface FitQuestion {
  /** Path of llama-fit-params. */
  readonly program: string;
  readonly args: readonly string[];
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Of the program. */
  readonly catalogue: FlagCatalogue;
}

/** The program maps the model's header and allocates nothing: half a second with a large vocabulary. */
const timeoutMs = 60_000;

/**
 * Asks llama.cpp itself how much memory a model needs. The program reads the model's header and loads no weights.
 * @throws LlmctlError of `explainFailedRun` when the program does not answer.
 * @see llama.cpp tools/fit-params, common/fit.cpp `common_fit_print`
 */
export async function askFitParams({ program, args, env, catalogue }: FitQuestion): Promise<FitAnswer> {
  const canPrint = catalogue.has("--fit-print");
  const result = await runBriefly(program, canPrint ? [...args, "--fit-print", "on"] : args, {
    env,
    timeoutMs,
    maxBytes: 10_000_000,
  });
  if (!result.failed) return canPrint ? { kind: "needs", parts: parseMemory(result.stdout) } : { kind: "fits" };
  const reason = /failed to fit params to free device memory: (.+)$/m.exec(result.stderr)?.[1];
  if (result.exitCode === 1 && reason !== undefined && parseRefusal(result.stderr) !== undefined)
    return { kind: "does-not-fit", reason };
  throw await explainFailedRun(program, "tell how much memory the model needs", env, result);
}

/** Parses lines with a device's name and the MiB of its model, context and compute buffers; `Host` comes last. */
export function parseMemory(text: string): MemoryPart[] {
  return [...text.matchAll(/^(\S{1,200}) (\d{1,9}) (\d{1,9}) (\d{1,9}) ?\r?$/gm)].map(
    ([, device = "", model, context, compute]) => ({
      device,
      modelMib: Number(model),
      contextMib: Number(context),
      computeMib: Number(compute),
    }),
  );
}
