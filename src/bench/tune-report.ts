import type { BenchPrompt } from "./bench-prompt.ts";
import type { BatchCosts, BenchReport, ReportedSetting } from "./bench-report.ts";
import type { Estimate } from "./estimate.ts";
import type { Round, Timing } from "./measurement.ts";

/** Raised when a key of {@link TuneReport} changes its meaning. Keys are only ever added within a version. */
export const tuneReportVersion = 1;

/** One way of drafting, before its numbers (`n_max`, `p_min` …) are chosen. */
export interface TuneCandidate {
  /** The drafting type, with the draft model or the device where there are several: `draft-simple on CUDA1`. */
  readonly label: string;
  /** Why it was thrown out: `even at 95 % acceptance it could reach 0.97 ×`; null while it was in the race. */
  readonly thrownOut: string | null;
  /** The speedup that it would have with 95 % acceptance, by its costs or sizes; null where they are not known. */
  readonly bestPossible: number | null;
  /** What batches cost, measured; null where it was not loaded. */
  readonly costs: BatchCosts | null;
  /**
   * Share of the traced drafts whose first `i + 1` tokens were accepted; null where it was not traced or no build
   * tells.
   */
  readonly acceptedByPosition: readonly number[] | null;
}

/** What one setting would reach, computed from costs and a trace. */
export interface GridSetting {
  /** As {@link ReportedSetting.label}. */
  readonly label: string;
  /** Label of its {@link TuneCandidate}. */
  readonly candidate: string;
  readonly nMax: number;
  readonly nMin: number;
  readonly pMin: number;
  /** Predicted speed over that without drafting. */
  readonly ratio: number;
}

/** A setting that was measured against no drafting. */
export interface TuneFinalist {
  readonly setting: ReportedSetting;
  /** Label of its {@link TuneCandidate}. */
  readonly candidate: string;
  /** Null where nothing was predicted: a candidate without a trace. */
  readonly predicted: number | null;
  /** Measured speed over that without drafting; null when no prompt was measured on both. */
  readonly estimate: Estimate | null;
  /** Time to the first token over that without drafting: above 1 it is slower. */
  readonly firstToken: Estimate | null;
  /** Share of drafts whose first `i + 1` tokens were accepted; null on builds that do not tell. */
  readonly acceptedByPosition: readonly number[] | null;
  /** Memory that drafting takes; null where it is not known. */
  readonly draftBytes: number | null;
  /**
   * Why it is not the winner: `slower than draft-simple n_max 4 with 95 % confidence`; null for the winner, and where
   * nothing was decided.
   */
  readonly dropped: string | null;
}

/** A part of the search. */
export interface TuneStage {
  /**
   * `gate`: which types the build and the files allow. `baseline`: the load without drafting. `trace`: one load for
   * each candidate. `sweep`: other numbers for each request, on builds that take them. `predict`: the whole grid,
   * computed. `measure`: the finalists against no drafting.
   */
  readonly name: "gate" | "baseline" | "trace" | "sweep" | "predict" | "measure";
  readonly seconds: number;
  /** Starts of a server. */
  readonly loads: number;
  /** What it found, for people. */
  readonly found: string;
}

/** The result of a search for the best setting. */
export interface TuneReport {
  readonly version: typeof tuneReportVersion;
  readonly llmctl: string;
  readonly profile: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly seconds: number;
  /** Why it ended; `no-candidate` where nothing was left to measure. */
  readonly end: BenchReport["end"] | "no-candidate";
  readonly machine: BenchReport["machine"];
  readonly build: string;
  readonly timing: Timing;
  readonly concurrency: number;
  readonly prompts: readonly Pick<BenchPrompt, "id" | "kind" | "excerpt">[];
  readonly stages: readonly TuneStage[];
  readonly loads: number;
  readonly candidates: readonly TuneCandidate[];
  /** The grid; empty where nothing could be predicted. */
  readonly predicted: readonly GridSetting[];
  /** The setting without drafting; null when its server never answered. */
  readonly baseline: ReportedSetting | null;
  /** Best estimate first. */
  readonly finalists: readonly TuneFinalist[];
  /** Label of the fastest setting, `none` where drafting does not pay; null when nothing could be shown. */
  readonly winner: string | null;
  /** The profile's own `draft` before; null without drafting. */
  readonly draftBefore: Readonly<Record<string, unknown>> | null;
  readonly rounds: readonly Round[];
  /** As in {@link BenchReport}. */
  readonly waitShare: number | null;
  /** The sentence that says it all. */
  readonly sentence: string;
  /** Everything that limits the result, for people. */
  readonly notes: readonly string[];
}
