import { join } from "node:path";
import { type Clock, systemClock } from "../../base/clock.ts";
import { LlmctlError } from "../../base/errors.ts";
import { llmctlVersion } from "../../base/version.ts";
import type { HubAccess } from "../../hub/http/hub-access.ts";
import type { PlanSession } from "../../llama/plan/plan-session.ts";
import type { ModelRef, Profile } from "../../profiles/schema/schema.ts";
import type { OnBenchEvent } from "../bench-event.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import type { Timing } from "../measurement.ts";
import type { DraftingCosts } from "../predict/drafting-cost.ts";
import type { RoundKeeper } from "../rounds/run-rounds.ts";
import { choosePrompts, shippedPrompts } from "../run/choose-prompts.ts";
import { describeMachine } from "../run/describe-machine.ts";
import { findDraftBytes } from "../run/find-draft-bytes.ts";
import { findReevaluation } from "../run/measure-drafting.ts";
import type { KeeperOptions } from "../run/open-keeper.ts";
import { reportSetting } from "../run/report-setting.ts";
import { BenchContest } from "../servers/bench-contest.ts";
import { findWhyInTurns } from "../servers/find-servers-room.ts";
import { draftShare } from "../servers/measure-costs.ts";
import { type BenchSetting, planSetting } from "../servers/plan-setting.ts";
import { estimateFirstToken, estimateRatio, summarizeWaitShare } from "../statistics/estimate-ratio.ts";
import { speedupSentence } from "../statistics/speedup-sentence.ts";
import { planTraced } from "../trace/plan-traced.ts";
import { traceSetting } from "../trace/trace-setting.ts";
import { type TuneCandidate, type TuneFinalist, type TuneReport, tuneReportVersion } from "../tune-report.ts";
import type { Candidate, RejectedCandidate } from "./candidate.ts";
import { chooseWinner, type Winner } from "./choose-winner.ts";
import type { Finalist } from "./finalist.ts";
import { type Candidates, listCandidates } from "./list-candidates.ts";
import { type Baseline, measureBaseline } from "./measure-baseline.ts";
import { type FinalsResult, measureFinalists } from "./measure-finalists.ts";
import { type CandidatePrediction, predictNgrams, predictTraced } from "./predict-candidates.ts";
import { TuneProgress } from "./tune-progress.ts";

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

export interface TuneResult {
  readonly report: TuneReport;
  readonly winner: Winner;
}
