import type { Clock } from "../../base/clock.ts";
import type { DraftTrace } from "../../llama/server/draft-trace.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import type { BatchCosts } from "../bench-report.ts";
import type { RoundKeeper } from "../rounds/run-rounds.ts";
import type { BenchContest } from "../servers/bench-contest.ts";
import type { BenchSetting } from "../servers/plan-setting.ts";
import type { Finalist } from "./finalist.ts";
import type { Candidates } from "./list-candidates.ts";
import type { Baseline } from "./measure-baseline.ts";
import type { FinalsResult } from "./measure-finalists.ts";
import type { CandidatePrediction } from "./predict-candidates.ts";
import type { TuneOptions } from "./run-tune.ts";
import type { TuneProgress } from "./tune-progress.ts";

/** What the stages of a search share. */
export interface Search {
  readonly options: TuneOptions;
  readonly none: BenchSetting;
  readonly contest: BenchContest;
  readonly progress: TuneProgress;
  /** What the server without drafting has answered, by prompt. */
  readonly answers: ReadonlyMap<string, string>;
  readonly clock: Clock;
}

export function nothingFound(): Found {
  return {
    candidates: { left: [], rejected: [] },
    prompts: [],
    keeper: undefined,
    baseline: undefined,
    costs: new Map(),
    traces: new Map(),
    predictions: [],
    finalists: [],
    finals: undefined,
    notes: [],
  };
}

/** What a search knows; it grows with each stage. */
export interface Found {
  candidates: Candidates;
  prompts: readonly BenchPrompt[];
  /** Undefined before the journal is open. */
  keeper: RoundKeeper | undefined;
  baseline: Baseline | undefined;
  readonly costs: Map<string, BatchCosts>;
  /** By the label of a candidate. */
  readonly traces: Map<string, DraftTrace>;
  readonly predictions: CandidatePrediction[];
  finalists: readonly PlannedFinalist[];
  finals: FinalsResult | undefined;
  readonly notes: string[];
}

export interface PlannedFinalist {
  readonly finalist: Finalist;
  readonly setting: BenchSetting;
}
