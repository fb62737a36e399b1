/** A ratio of two speeds, with its 95 % interval: above 1 the first one is faster. */
export interface Estimate {
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
  /** Number of prompts behind it. */
  readonly prompts: number;
}

/** What can be said about a comparison. */
export type Verdict =
  | { readonly kind: "pays" | "loses"; readonly estimate: Estimate }
  /** The interval lies within ± 2 % of 1. */
  | { readonly kind: "equal"; readonly estimate: Estimate }
  | {
      readonly kind: "unknown";
      /** Undefined when no prompt was measured on both. */
      readonly estimate: Estimate | undefined;
      /** Time that would probably show a difference, in milliseconds more; undefined when time alone would not. */
      readonly moreMs: number | undefined;
      /** Number of prompts that would probably show it; undefined when more time does. */
      readonly morePrompts: number | undefined;
    };
