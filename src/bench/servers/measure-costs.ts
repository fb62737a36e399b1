import { checkedSizes, fillCosts, measureBatchCosts } from "../../llama/server/batch-costs.ts";
import type { Timing } from "../measurement.ts";
import { smoothCosts } from "../predict/smooth-costs.ts";
import type { BenchServer } from "./bench-server.ts";

interface CostOptions {
  readonly timing: Timing;
  readonly signal: AbortSignal;
  /**
   * Number of tokens before a batch, which is that of the prompts: attention to 256 tokens made a step of the padded
   * demo model half as dear again as one behind 50.
   */
  readonly depth?: number | undefined;
}

/**
 * What batches of 1 to 17 tokens cost a server; with a draft model loaded, what they cost both.
 * @returns milliseconds, entry `k - 1` for `k` tokens; undefined where the server computes other batches than asked.
 */
export async function measureCosts(
  server: BenchServer,
  { timing, signal, depth }: CostOptions,
): Promise<readonly number[] | undefined> {
  const readCpuMs = timing === "cpu" ? () => server.readSettledCpuMs() : undefined;
  const costs = await measureBatchCosts(server.endpoint, { signal, depth, readCpuMs });
  const filled = fillCosts(costs, checkedSizes.length);
  return filled && smoothCosts(filled);
}

/** The share of the draft in the costs of a server that has both models. */
export function draftShare(both: readonly number[], target: readonly number[]): readonly number[] {
  return both.map((ms, index) => Math.max(0, ms - (target[index] ?? 0)));
}
