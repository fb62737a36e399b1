import type { Clock } from "../../base/clock.ts";
import type { HubAccess } from "../../hub/http/hub-access.ts";
import type { PlanSession } from "../../llama/plan/plan-session.ts";
import type { DraftTrace } from "../../llama/server/draft-trace.ts";
import type { ModelRef, Profile } from "../../profiles/schema/schema.ts";
import type { OnBenchEvent } from "../bench-event.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import type { BatchCosts } from "../bench-report.ts";
import type { Timing } from "../measurement.ts";
import type { RoundKeeper } from "../rounds/run-rounds.ts";
import type { KeeperOptions } from "../run/open-keeper.ts";
import type { BenchContest } from "../servers/bench-contest.ts";
import type { BenchSetting } from "../servers/plan-setting.ts";
import type { Finalist } from "./finalist.ts";
import type { Candidates } from "./list-candidates.ts";
import type { Baseline } from "./measure-baseline.ts";
import type { FinalsResult } from "./measure-finalists.ts";
import type { CandidatePrediction } from "./predict-candidates.ts";
import type { TuneProgress } from "./tune-progress.ts";

/** What a search is asked for. */
export interface TuneOptions {
  readonly profile: Profile;
  /** Draft models beyond the profile's own. */
  readonly drafts: readonly ModelRef[];
  /** Prompts of the user; undefined: the shipped ones. */
  readonly prompts: readonly BenchPrompt[] | undefined;
  /** Longest time for the measurement of finalists, in milliseconds. */
  readonly limitMs: number;
  readonly concurrency: number | undefined;
  readonly maxTokens: number;
  readonly timing: Timing;
  readonly session: PlanSession;
  readonly access: HubAccess;
  /** Fetches the models of a profile whose draft has passed the gate. @throws LlmctlError where that fails. */
  readonly ensureModels: (profile: Profile) => Promise<void>;
  readonly openKeeper: (options: Omit<KeeperOptions, "session">) => Promise<RoundKeeper>;
  readonly signal: AbortSignal;
  readonly onEvent: OnBenchEvent;
  readonly clock?: Clock;
}

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

export function nothingFound(): TuneFindings {
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
    unjudged: [],
    notes: [],
  };
}

/** What a search knows; it grows with each stage. */
export interface TuneFindings {
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
  /** Labels of candidates of which nothing is known, since something failed. */
  readonly unjudged: string[];
  readonly notes: string[];
}

export interface PlannedFinalist {
  readonly finalist: Finalist;
  readonly setting: BenchSetting;
}
