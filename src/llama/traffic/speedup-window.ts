/** One request, compared with the same without a draft. */
export interface ComparedRequest {
  /** Natural logarithm of its speed over that without a draft. */
  readonly logRatio: number;
  /** Tokens generated after the first one: its weight. */
  readonly tokens: number;
  readonly draftTokens: number;
  readonly acceptedTokens: number;
  /** Steps of the target model that checked a draft; 0 on builds that do not log it. */
  readonly drafts: number;
}

/** A ratio of speeds with its 95 % interval. */
export interface WindowEstimate {
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
}

/** Fewer drafted tokens say nothing about a draft. */
export const tellingDraftTokens = 200;
/** Fewer requests say nothing about how much requests differ. */
const fewestRequests = 4;
/** Requests that draft hardly anything must not be kept without end. */
const mostRequests = 1000;

/** Compared requests, the newest ones, with sums. */
export class SpeedupWindow {
  #requests: ComparedRequest[] = [];
  #draftTokens = 0;

  get draftTokens(): number {
    return this.#draftTokens;
  }

  get requests(): readonly ComparedRequest[] {
    return this.#requests;
  }

  /** Whether there are enough requests and drafted tokens for an estimate. */
  get isFull(): boolean {
    return this.#requests.length >= fewestRequests && this.#draftTokens >= tellingDraftTokens;
  }

  add(request: ComparedRequest): void {
    this.#requests.push(request);
    this.#draftTokens += request.draftTokens;
    if (this.#requests.length > mostRequests) this.#dropOldest();
  }

  /** Drops the oldest requests that an estimate does without. */
  shrink(): void {
    for (
      let [oldest] = this.#requests;
      oldest !== undefined &&
      this.#requests.length > fewestRequests &&
      this.#draftTokens - oldest.draftTokens >= tellingDraftTokens;
      [oldest] = this.#requests
    )
      this.#dropOldest();
  }

  clear(): void {
    this.#requests = [];
    this.#draftTokens = 0;
  }

  /**
   * The geometric mean over requests, weighted by their tokens, with Student's interval. Requests are taken for
   * independent, tokens of one request are not. Their weights count as the number of equal requests that would give a
   * mean as sure, (Σw)² / Σw² (Kish), so one long request does not make many short ones.
   * @returns undefined while the window is not full.
   */
  estimate(): WindowEstimate | undefined {
    if (!this.isFull) return undefined;
    const weight = sum(this.#requests, ({ tokens }) => tokens);
    const mean = sum(this.#requests, ({ tokens, logRatio }) => tokens * logRatio) / weight;
    const squares = sum(this.#requests, ({ tokens, logRatio }) => tokens * (logRatio - mean) ** 2) / weight;
    const count = weight ** 2 / sum(this.#requests, ({ tokens }) => tokens ** 2);
    if (count < 2) return undefined;
    const half = studentT(count - 1) * Math.sqrt(squares / (count - 1));
    return { ratio: Math.exp(mean), low: Math.exp(mean - half), high: Math.exp(mean + half) };
  }

  #dropOldest(): void {
    this.#draftTokens -= this.#requests.shift()?.draftTokens ?? 0;
  }
}

function sum<T>(list: readonly T[], read: (one: T) => number): number {
  return list.reduce((total, one) => total + read(one), 0);
}

/** Two-sided 95 % quantiles of Student's distribution, from one degree of freedom on. */
const quantiles = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/** For a number of degrees that is no whole number, the wider interval. */
function studentT(degrees: number): number {
  return quantiles[Math.floor(degrees) - 1] ?? 2.042;
}
