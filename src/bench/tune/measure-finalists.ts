import { type Clock, systemClock } from "../../base/clock.ts";
import { LlmctlError } from "../../base/errors.ts";
import type { OnBenchEvent } from "../bench-event.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import type { BenchReport } from "../bench-report.ts";
import type { Round, Timing } from "../measurement.ts";
import { type Contest, type Contestant, type RoundKeeper, runRounds } from "../rounds/run-rounds.ts";
import { estimateRatio } from "../statistics/estimate-ratio.ts";
import { equalWithin, judge, spreadOf } from "../statistics/judge.ts";
import { formatEstimate } from "../number-words.ts";

export interface FinalsOptions {
  /** The contestant that does not draft. */
  readonly none: Contestant;
  readonly finalists: readonly Contestant[];
  readonly prompts: readonly BenchPrompt[];
  readonly concurrency: number;
  readonly isInterleaved: boolean;
  readonly timing: Timing;
  readonly contest: Contest;
  readonly keeper: RoundKeeper;
  readonly limitMs: number;
  readonly signal: AbortSignal;
  readonly onEvent: OnBenchEvent;
  readonly clock?: Clock;
}

export interface FinalsResult {
  readonly end: BenchReport["end"];
  /** Why a finalist is out, by label. */
  readonly dropped: ReadonlyMap<string, string>;
  readonly elapsedMs: number;
  /** Why it ended early, for people. */
  readonly notes: readonly string[];
}

/** Fewer prompts do not tell a good setting from a bad one. */
const fewestFirst = 4;

/**
 * Measures finalists against no drafting, all in the same rounds: first on a quarter of the prompts, then on twice as
 * many, and so on. After each step those are out that are slower than the best one with 95 % confidence. Ends when one
 * is left and known to pay or not, when those that are left differ by less than 2 %, when going on would load the
 * models again, or when the time is over.
 * @throws LlmctlError of a server that cannot be started, where nothing was measured before.
 */
export async function measureFinalists(options: FinalsOptions): Promise<FinalsResult> {
  const { clock = systemClock } = options;
  const finals = new Finals(options, clock.nowMs());
  try {
    const end = await finals.run();
    return { end, dropped: finals.dropped, elapsedMs: finals.elapsedMs, notes: [] };
  } catch (error) {
    const isKept = error instanceof LlmctlError && error.code === "bench-server-died" && finals.hasRounds;
    if (!isKept) throw error;
    return { end: "server-died", dropped: finals.dropped, elapsedMs: finals.elapsedMs, notes: [error.message] };
  }
}

class Finals {
  readonly dropped = new Map<string, string>();
  readonly #options: FinalsOptions;
  readonly #startedMs: number;
  #alive: readonly Contestant[];

  constructor(options: FinalsOptions, startedMs: number) {
    this.#options = options;
    this.#startedMs = startedMs;
    this.#alive = options.finalists;
  }

  get elapsedMs(): number {
    return (this.#options.clock ?? systemClock).nowMs() - this.#startedMs;
  }

  get hasRounds(): boolean {
    return this.#rounds.length > 0;
  }

  async run(): Promise<FinalsResult["end"]> {
    const { prompts } = this.#options;
    for (const part of this.#parts()) {
      const end = await this.#measure(part, 1);
      if (end !== "passes-done") return end === "interrupted" ? "interrupted" : "time-over";
      this.#dropSlower();
      if (part.length === prompts.length && this.#isDecided()) return "precise";
    }
    if (!this.#options.isInterleaved) return "loads-used-up";
    for (let passes = 2; ; passes += 1) {
      if (this.#dropsReloaded(passes)) return "loads-used-up";
      const end = await this.#measure(prompts, passes);
      if (end !== "passes-done") return end === "interrupted" ? "interrupted" : "time-over";
      this.#dropSlower();
      if (this.#isDecided()) return "precise";
    }
  }

  /** Growing parts of the prompts. Servers that take turns are loaded again for each part: there it is the whole. */
  *#parts(): Generator<readonly BenchPrompt[]> {
    const { prompts, isInterleaved } = this.#options;
    const first = isInterleaved ? Math.max(fewestFirst, Math.ceil(prompts.length / 4)) : prompts.length;
    for (let count = Math.min(first, prompts.length); ; count *= 2) {
      if (count >= prompts.length) break;
      yield prompts.slice(0, count);
    }
    yield prompts;
  }

  async #measure(prompts: readonly BenchPrompt[], mostPasses: number) {
    const { none, limitMs, onEvent } = this.#options;
    return runRounds({
      ...this.#options,
      contestants: [none, ...this.#alive],
      prompts,
      mostPasses,
      limitMs: limitMs - this.elapsedMs,
      isEnough: () => false,
      onRound: () =>
        onEvent({ kind: "round", doneMs: Math.min(this.elapsedMs, limitMs), limitMs, soFar: this.#describe() }),
    });
  }

  #dropSlower(): void {
    const best = this.#best();
    if (best === undefined) return;
    const isSlower = ({ label }: Contestant) => label !== best.label && (this.#ratio(label, best.label)?.low ?? 0) > 1;
    for (const { label } of this.#alive.filter(isSlower))
      this.dropped.set(label, `slower than ${best.label} with 95 % confidence`);
    this.#alive = this.#alive.filter(({ label }) => !this.dropped.has(label));
  }

  /**
   * A server that remembers prompts is loaded again for each pass: one more load shall do, and only of the best.
   * @returns whether the best one had its second load.
   */
  #dropsReloaded(passes: number): boolean {
    const best = this.#best();
    for (const { label } of this.#alive.filter(({ remembers, label }) => remembers && label !== best?.label))
      this.dropped.set(label, `slower than ${best?.label} so far, and a further pass would load it again`);
    this.#alive = this.#alive.filter(({ label }) => !this.dropped.has(label));
    return best?.remembers === true && passes > 2;
  }

  #isDecided(): boolean {
    const best = this.#best();
    if (best === undefined) return false;
    const { none, timing } = this.#options;
    const verdict = judge(this.#rounds, { first: none.label, second: best.label, timing }, this.elapsedMs);
    if (verdict.kind === "unknown") return false;
    return this.#alive.every(({ label }) => {
      const ratio = label === best.label ? undefined : this.#ratio(label, best.label);
      return label === best.label || (ratio !== undefined && spreadOf(ratio) <= equalWithin);
    });
  }

  #best(): Contestant | undefined {
    const { none } = this.#options;
    const speeds = this.#alive.map((one) => ({ one, ratio: this.#ratio(none.label, one.label)?.ratio ?? 0 }));
    return speeds.toSorted((a, b) => b.ratio - a.ratio)[0]?.one;
  }

  #ratio(first: string, second: string) {
    return estimateRatio(this.#rounds, { first, second, timing: this.#options.timing });
  }

  get #rounds(): readonly Round[] {
    const { none, keeper } = this.#options;
    return keeper.rounds.filter(({ order }) => order.length > 1 && order.includes(none.label));
  }

  #describe(): string {
    const best = this.#best();
    const estimate = best && this.#ratio(this.#options.none.label, best.label);
    const left = `${this.#alive.length} left`;
    return estimate === undefined ? left : `${best?.label}: ${formatEstimate(estimate)}, ${left}`;
  }
}
