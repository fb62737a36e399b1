import type { Endpoint } from "../../supervisor/launch.ts";
import { measureAnswer } from "./measured-answer.ts";

/** How long drafts are, and how sure of each token the draft has to be. */
export interface RequestDrafting {
  /** 0: no drafting. */
  readonly nMax: number;
  readonly nMin: number;
  readonly pMin: number;
}

/** The keys of a request that say so, on the builds that read them: those up to b8390. */
export function draftingKeys({ nMax, nMin, pMin }: RequestDrafting): Readonly<Record<string, number>> {
  return { "speculative.n_max": nMax, "speculative.n_min": nMin, "speculative.p_min": pMin };
}

/**
 * Whether a server drafts as its requests say; newer builds ignore the keys.
 * @throws LlmctlError as `measureAnswer`.
 */
export async function readsDraftingKeys(endpoint: Endpoint, signal: AbortSignal): Promise<boolean> {
  const ask = async (prompt: string, nMax: number) => {
    const keys = draftingKeys({ nMax, nMin: 0, pMin: 0 });
    const body = { prompt, n_predict: probeTokens, temperature: 0, ignore_eos: true, ...keys };
    return measureAnswer({ endpoint, path: "/completion", body, signal });
  };
  // A server may remember the drafts of the prompt before.
  const without = await ask("Once upon a time", 0);
  const drafting = await ask("The old house stood", probeLength);
  return without.draftTokens === 0 && drafting.draftTokens > 0;
}

/** Long enough for some drafts of {@link probeLength}. */
const probeTokens = 16;
const probeLength = 4;
