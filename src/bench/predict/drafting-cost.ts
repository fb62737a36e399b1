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
 * The cost of a batch. Beyond the largest measured one it grows as it did last.
 * @param costs Entry `k - 1` is a batch of `k` tokens.
 */
export function batchCost(costs: readonly number[], tokens: number): number {
  const known = costs[tokens - 1];
  if (known !== undefined) return known;
  const last = costs.at(-1) ?? Number.NaN;
  const growth = costs.length < 2 ? 0 : Math.max(0, last - (costs.at(-2) ?? last));
  return last + (tokens - costs.length) * growth;
}

/**
 * Costs of all batches from some measured ones: straight lines between them. A curve never falls: where it seems to,
 * the noise of the measurement was larger than the growth.
 * @param measured In milliseconds, a batch of one token among them, in any order.
 * @returns One entry for each batch up to the largest measured one; empty where there is no batch of one token.
 */
export function interpolateCosts(measured: readonly { readonly tokens: number; readonly ms: number }[]): number[] {
  const points = measured.toSorted((a, b) => a.tokens - b.tokens);
  const costs: number[] = [];
  for (const { tokens, ms } of points) {
    const from = costs.length;
    const before = costs.at(-1);
    if (before === undefined && tokens !== 1) return [];
    const rise = Math.max(0, ms - (before ?? 0)) / (tokens - from);
    for (let size = from + 1; size <= tokens; size += 1) costs.push((before ?? 0) + rise * (size - from));
  }
  return costs;
}

/**
 * The speedup of each longest draft from 1 on, from acceptance alone: for builds without traces, and for a picture.
 * It is some per cent too low below the n_max of the measurement: a long draft starts anew mostly where the text is
 * hard.
 * @param acceptedByPosition Share of drafts whose first `i + 1` tokens were accepted, measured with p_min 0.
 */
export function predictByPosition(
  acceptedByPosition: readonly number[],
  costs: DraftingCosts,
): { readonly nMax: number; readonly ratio: number }[] {
  let tokens = 1;
  return acceptedByPosition.flatMap((accepted, index) => {
    tokens += accepted;
    const drafted = index + 1;
    const byDrafted = Array.from({ length: drafted + 1 }, (_, k) => (k === drafted ? 1 : 0));
    const sums = { byDrafted, steps: 1, tokens, drafted, accepted: tokens - 1, evaluations: drafted, unknown: 0 };
    const ratio = predictSpeedup(sums, costs);
    return ratio === undefined ? [] : [{ nMax: drafted, ratio }];
  });
}
