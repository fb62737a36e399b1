import type { BatchCosts } from "../bench-report.ts";
import type { ReplayedCycle } from "./replay.ts";

/** What a step costs on one machine. */
export interface DraftingCosts {
  /** `draft` is null for n-gram types: finding a draft costs them nothing. */
  readonly batches: BatchCosts;
  /**
   * Whether the draft evaluates every checked batch again, as v0.5.0 does in each step, also in one without a draft.
   * False for builds up to b8390, and for MTP models that share the target's memory.
   * @see llama.cpp tools/server/server-context.cpp, TAG_SPEC_AVOID_DRAFT_REEVAL
   */
  readonly reevaluates: boolean;
  /**
   * The same measured at one time; it counts instead of sums and differences of `batches`, whose noise is larger than
   * the share of a small draft.
   */
  readonly together?: {
    /** A batch of one token without the draft, in milliseconds. */
    readonly singleMs: number;
    /** Batches with both models, as `batches`. */
    readonly bothMs: readonly number[];
  };
}

/** Steps, added up: all that their cost depends on. */
export interface CycleSums {
  /** Number of steps by the number of drafted tokens. */
  readonly byDrafted: readonly number[];
  readonly steps: number;
  readonly tokens: number;
  readonly drafted: number;
  readonly accepted: number;
  readonly evaluations: number;
  readonly unknown: number;
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Adds steps up one by one: a walk of a replay visits thousands. */
export class CycleAdder {
  readonly #byDrafted: number[] = [0];
  readonly #sums: Writable<Omit<CycleSums, "byDrafted">> = {
    steps: 0,
    tokens: 0,
    drafted: 0,
    accepted: 0,
    evaluations: 0,
    unknown: 0,
  };

  readonly add = (cycle: ReplayedCycle): void => {
    while (this.#byDrafted.length <= cycle.drafted) this.#byDrafted.push(0);
    this.#byDrafted[cycle.drafted] = (this.#byDrafted[cycle.drafted] ?? 0) + 1;
    this.#sums.steps += 1;
    this.#sums.tokens += cycle.tokens;
    this.#sums.drafted += cycle.drafted;
    this.#sums.accepted += cycle.accepted;
    this.#sums.evaluations += cycle.evaluations;
    this.#sums.unknown += cycle.unknown;
  };

  get sums(): CycleSums {
    return { ...this.#sums, byDrafted: [...this.#byDrafted] };
  }
}

export function addCycles(cycles: Iterable<ReplayedCycle>): CycleSums {
  const adder = new CycleAdder();
  for (const cycle of cycles) adder.add(cycle);
  return adder.sums;
}

/**
 * Speed with these drafts over that without drafting: V(1) · tokens / (evaluations · d + Σ V(k + 1) + Σ D(k + 1)), with
 * V and D what a batch costs target and draft, d = D(1), and k drafted tokens in a step.
 *
 * The textbook's (1 - α^(n+1)) / ((1 - α) · (1 + n·c)) takes V as flat and D(n + 1) as nothing. For an F16 model
 * drafted by its own Q4_1 it says 1.37 where 0.8 is measured.
 * @returns undefined without tokens, or where the costs are not those of a machine.
 */
export function predictSpeedup(sums: CycleSums, costs: DraftingCosts): number | undefined {
  const { target, draft } = costs.batches;
  const together = costs.reevaluates ? costs.together : undefined;
  const single = draft === null ? 0 : batchCost(draft, 1);
  const steps = sums.byDrafted.reduce((sum, count, drafted) => sum + (count === 0 ? 0 : count * stepCost(drafted)), 0);
  const ratio = (sums.tokens * (together?.singleMs ?? batchCost(target, 1))) / (sums.evaluations * single + steps);
  return Number.isFinite(ratio) && ratio > 0 ? ratio : undefined;

  function stepCost(drafted: number): number {
    if (together !== undefined) return batchCost(together.bothMs, drafted + 1);
    const again = draft === null || !costs.reevaluates ? 0 : batchCost(draft, drafted + 1);
    return batchCost(target, drafted + 1) + again;
  }
}

/**
 * The cost of a batch. Beyond the largest measured one it grows as it did over the larger half of the measured sizes:
 * the last two alone may be equal by noise.
 * @param costs Entry `k - 1` is a batch of `k` tokens.
 */
export function batchCost(costs: readonly number[], tokens: number): number {
  const known = costs[tokens - 1];
  if (known !== undefined) return known;
  const last = costs.at(-1) ?? Number.NaN;
  const middle = Math.floor((costs.length - 1) / 2);
  const sizes = costs.length - 1 - middle;
  const growth = sizes > 0 ? Math.max(0, (last - (costs[middle] ?? last)) / sizes) : 0;
  return last + (tokens - costs.length) * growth;
}
