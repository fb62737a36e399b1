import { LlmctlError } from "../../base/errors.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { mapOverProcessors } from "./map-over-processors.ts";
import { dryRun, dryRunTimeoutMs, findAllRefused, type RefusedFlag } from "./dry-run.ts";
import type { Rendering } from "../render/render-command.ts";
import { withoutRpc } from "../render/rpc-flags.ts";

/** A command line that its binary is to try. */
export interface Trial {
  /** Absolute path of the binary. */
  readonly file: string;
  readonly env: Readonly<Record<string, string>>;
  readonly profile: Profile;
  readonly rendering: Rendering;
}

/** What a binary refuses of each command line; an error where it could not be asked. */
export type TrialResult = readonly RefusedFlag[] | LlmctlError;

/** A hundred command lines are some 100 kB; the kernel takes 2 MB, and each line may bring a warning of each flag. */
const mostAtOnce = 50;

/**
 * Has binaries parse many command lines, most of them in one run: llama.cpp handles one flag after the other, whatever
 * came before, so that it takes a chain of command lines exactly when it takes each. A chain that is refused is tried
 * link by link.
 */
export async function tryCommandLines(trials: readonly Trial[]): Promise<ReadonlyMap<Trial, TrialResult>> {
  const chains = groupTrials(trials);
  const results = await mapOverProcessors(chains, async (chain) =>
    chain.length > 1 && (await takesAll(chain)) ? [] : chain,
  );
  const doubtful = results.flat();
  const answers = await mapOverProcessors(doubtful, async (trial) => [trial, await tryOne(trial)] as const);
  return new Map<Trial, TrialResult>([...trials.map((trial) => [trial, []] as const), ...answers]);
}

/** Chains of what one binary tries in one environment. */
function groupTrials(trials: readonly Trial[]): Trial[][] {
  const chains: Trial[][] = [];
  const open = new Map<string, Trial[]>();
  for (const trial of trials) {
    const key = JSON.stringify([trial.file, trial.env]);
    const known = open.get(key);
    if (known !== undefined && known.length < mostAtOnce) {
      known.push(trial);
      continue;
    }
    const chain = [trial];
    chains.push(chain);
    open.set(key, chain);
  }
  return chains;
}

async function takesAll(chain: readonly Trial[]): Promise<boolean> {
  const [first] = chain;
  if (first === undefined) return true;
  const args = chain.flatMap(({ rendering }) => withoutRpc(rendering.flags).flatMap((flag) => flag.args));
  try {
    await dryRun(first.file, args, { env: first.env, timeoutMs: dryRunTimeoutMs });
    return true;
  } catch (error) {
    if (error instanceof LlmctlError) return false;
    throw error;
  }
}

async function tryOne({ file, env, profile, rendering }: Trial): Promise<TrialResult> {
  try {
    return await findAllRefused(file, { profile, rendering }, { env, timeoutMs: dryRunTimeoutMs });
  } catch (error) {
    if (error instanceof LlmctlError) return error;
    throw error;
  }
}
