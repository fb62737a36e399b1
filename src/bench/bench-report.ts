import type { BenchPrompt } from "./bench-prompt.ts";
import type { Estimate, Verdict } from "./estimate.ts";
import type { Round, Timing } from "./measurement.ts";

/** Raised when a key of {@link BenchReport} changes its meaning. Keys are only ever added within a version. */
export const benchReportVersion = 1;

/** One way of running the model. */
export interface ReportedSetting {
  /** `none`, `profile`, or for a tune such as `draft-simple n_max 4 p_min 0.5`. */
  readonly label: string;
  /** The profile's `draft`, with llmctl's defaults; null without drafting. */
  readonly draft: Readonly<Record<string, unknown>> | null;
  /** What ran. */
  readonly command: { readonly file: string; readonly args: readonly string[] };
  readonly files: readonly {
    readonly path: string;
    readonly sizeBytes: number;
    /** Null where it is not known without reading the file. */
    readonly sha256: string | null;
  }[];
  /** From the start of the process to its first healthy answer; null when it was not measured. */
  readonly loadMs: number | null;
}

/** What batches cost, in milliseconds: entry `k - 1` is a batch of `k` tokens. */
export interface BatchCosts {
  /** The target model alone. */
  readonly target: readonly number[];
  /** The draft model alone; null where there is none. */
  readonly draft: readonly number[] | null;
}

/** The result of a comparison, for scripts and for `--compare`. */
export interface BenchReport {
  readonly version: typeof benchReportVersion;
  readonly llmctl: string;
  readonly profile: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly seconds: number;
  /** Why it ended. */
  readonly end: "precise" | "time-over" | "interrupted" | "server-died" | "prompts-used-up" | "loads-used-up";
  readonly machine: {
    readonly processor: string;
    readonly processors: number;
    readonly memoryBytes: number;
    readonly devices: readonly string[];
    readonly system: string;
  };
  readonly build: string;
  readonly timing: Timing;
  readonly concurrency: number;
  /** The slower one by intention comes first: without drafting, or the profile of `--against`. */
  readonly settings: readonly [ReportedSetting, ReportedSetting];
  readonly prompts: readonly Pick<BenchPrompt, "id" | "kind" | "excerpt">[];
  readonly rounds: readonly Round[];
  /** Speed of the second setting over that of the first. */
  readonly verdict: Verdict;
  readonly byKind: Readonly<Record<string, Estimate>>;
  /** Time to the first token of the second setting over that of the first: above 1 it is slower. */
  readonly firstToken: Estimate | null;
  /** Memory that drafting takes; null where it is not known. */
  readonly draftBytes: number | null;
  /** Share of drafts whose first `i + 1` tokens were accepted; null on builds that do not tell. */
  readonly acceptedByPosition: readonly number[] | null;
  readonly costs: BatchCosts | null;
  /** The speedup that the costs predict for each longest draft; null where costs or acceptance are not known. */
  readonly predicted: readonly { readonly nMax: number; readonly ratio: number }[] | null;
  /** Whether other programs took processor time from the servers: the share of time they waited, 0..1, or null. */
  readonly waitShare: number | null;
  /** The sentence that says it all. */
  readonly sentence: string;
  /** Everything that limits the result, for people. */
  readonly notes: readonly string[];
}
