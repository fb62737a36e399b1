import { checkedSizes, fillCosts, measureBatchCosts } from "../../llama/server/batch-costs.ts";
import type { Timing } from "../measurement.ts";
import type { BenchServer } from "./bench-server.ts";

interface CostOptions {
  readonly timing: Timing;
  readonly signal: AbortSignal;
}

/**
 * What batches of 1 to 17 tokens cost a server; with a draft model loaded, what they cost both.
 * @returns milliseconds, entry `k - 1` for `k` tokens; undefined where the server computes other batches than asked.
 */
export async function measureCosts(
  server: BenchServer,
  { timing, signal }: CostOptions,
): Promise<readonly number[] | undefined> {
  const readCpuMs = timing === "cpu" ? () => server.readSettledCpuMs() : undefined;
  return fillCosts(await measureBatchCosts(server.endpoint, { signal, readCpuMs }), checkedSizes.length);
}

/** The share of the draft in the costs of a server that has both models. */
export function draftShare(both: readonly number[], target: readonly number[]): readonly number[] {
  return both.map((ms, index) => Math.max(0, ms - (target[index] ?? 0)));
}
