import { LlmctlError } from "../../base/errors.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { mapOverProcessors } from "../ask/map-over-processors.ts";
import { dryRun, dryRunTimeoutMs, findRefusedFlags, type RefusedFlag } from "./dry-run.ts";
import type { Rendering } from "./render-command.ts";
import { withoutRpc } from "./rpc-flags.ts";

/** A command line, and the binary and environment to try it with. */
export interface DryRunRequest {
  /** Absolute path of the binary. */
  readonly file: string;
  readonly env: Readonly<Record<string, string>>;
  readonly profile: Profile;
  readonly rendering: Rendering;
}

/** The flags that the binary refuses; an error when it could not run. */
export type DryRunResult = readonly RefusedFlag[] | LlmctlError;

/** Fifty command lines are some 50 kB. The kernel allows 2 MB, and each flag of each line may print a warning. */
const mostAtOnce = 50;

/**
 * Lets binaries parse many command lines, most of them in one run. llama.cpp handles each flag independently of those
 * before it, so it accepts a chain of command lines exactly when it accepts each of them. The lines of a refused chain
 * are tried one by one.
 */
export async function dryRunAll(requests: readonly DryRunRequest[]): Promise<ReadonlyMap<DryRunRequest, DryRunResult>> {
  const chains = groupRequests(requests);
  const results = await mapOverProcessors(chains, async (chain) =>
    chain.length > 1 && (await acceptsAll(chain)) ? [] : chain,
  );
  const doubtful = results.flat();
  const answers = await mapOverProcessors(doubtful, async (request) => [request, await tryOne(request)] as const);
  return new Map<DryRunRequest, DryRunResult>([...requests.map((request) => [request, []] as const), ...answers]);
}

/** Chains of requests with the same binary and environment. */
function groupRequests(requests: readonly DryRunRequest[]): DryRunRequest[][] {
  const chains: DryRunRequest[][] = [];
  const open = new Map<string, DryRunRequest[]>();
  for (const request of requests) {
    const key = JSON.stringify([request.file, request.env]);
    const known = open.get(key);
    if (known !== undefined && known.length < mostAtOnce) {
      known.push(request);
      continue;
    }
    const chain = [request];
    chains.push(chain);
    open.set(key, chain);
  }
  return chains;
}

async function acceptsAll(chain: readonly DryRunRequest[]): Promise<boolean> {
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

async function tryOne({ file, env, profile, rendering }: DryRunRequest): Promise<DryRunResult> {
  try {
    return await findRefusedFlags(file, { profile, rendering }, { env, timeoutMs: dryRunTimeoutMs });
  } catch (error) {
    if (error instanceof LlmctlError) return error;
    throw error;
  }
}
