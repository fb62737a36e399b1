import { LlmctlError } from "../../base/errors.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { mapOverProcessors } from "../plan/plan-session.ts";
import { dryRun, dryRunTimeoutMs, findRefusedFlags, type RefusedFlag } from "./dry-run.ts";
import type { Rendering } from "./render-command.ts";
import { withoutRpc } from "./rpc-flags.ts";

/** A command line that its binary is to try. */
export interface DryRunRequest {
  readonly server: string;
  readonly env: Readonly<Record<string, string>>;
  readonly profile: Profile;
  readonly rendering: Rendering;
}

/** What a binary refuses of each command line; an error where it could not be asked. */
export type DryRunResult = readonly RefusedFlag[] | LlmctlError;

/** A hundred command lines are some 100 kB; the kernel takes 2 MB, and each line may bring a warning of each flag. */
const mostAtOnce = 50;

/**
 * Has binaries parse many command lines, most of them in one run: llama.cpp handles one flag after the other, whatever
 * came before, so that it takes a chain of command lines exactly when it takes each. A chain that is refused is tried
 * link by link.
 */
export async function dryRunAll(trials: readonly DryRunRequest[]): Promise<ReadonlyMap<DryRunRequest, DryRunResult>> {
  const chains = groupRequests(trials);
  const results = await mapOverProcessors(chains, async (chain) =>
    chain.length > 1 && (await takesAll(chain)) ? [] : chain,
  );
  const doubtful = results.flat();
  const answers = await mapOverProcessors(doubtful, async (trial) => [trial, await tryOne(trial)] as const);
  return new Map<DryRunRequest, DryRunResult>([...trials.map((trial) => [trial, []] as const), ...answers]);
}

/** Chains of what one binary tries in one environment. */
function groupRequests(trials: readonly DryRunRequest[]): DryRunRequest[][] {
  const chains: DryRunRequest[][] = [];
  const open = new Map<string, DryRunRequest[]>();
  for (const trial of trials) {
    const key = JSON.stringify([trial.server, trial.env]);
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

async function takesAll(chain: readonly DryRunRequest[]): Promise<boolean> {
  const [first] = chain;
  if (first === undefined) return true;
  const args = chain.flatMap(({ rendering }) => withoutRpc(rendering.flags).flatMap((flag) => flag.args));
  try {
    await dryRun(first.server, args, { env: first.env, timeoutMs: dryRunTimeoutMs });
    return true;
  } catch (error) {
    if (error instanceof LlmctlError) return false;
    throw error;
  }
}

async function tryOne({ server, env, profile, rendering }: DryRunRequest): Promise<DryRunResult> {
  try {
    return await findRefusedFlags(server, { profile, rendering }, { env, timeoutMs: dryRunTimeoutMs });
  } catch (error) {
    if (error instanceof LlmctlError) return error;
    throw error;
  }
}
