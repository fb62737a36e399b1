import { join } from "node:path";
import { type Clock, systemClock } from "../../base/clock.ts";
import type { HubAccess } from "../../hub/http/hub-access.ts";
import type { PlanSession } from "../../llama/plan/plan-session.ts";
import type { ModelRef, Profile } from "../../profiles/schema/schema.ts";
import type { OnBenchEvent } from "../bench-event.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import type { Timing } from "../measurement.ts";
import type { RoundKeeper } from "../rounds/run-rounds.ts";
import type { KeeperOptions } from "../run/open-keeper.ts";
import { BenchContest } from "../servers/bench-contest.ts";
import { findWhyInTurns } from "../servers/find-servers-room.ts";
import { planSetting } from "../servers/plan-setting.ts";
import type { TuneReport } from "../tune-report.ts";
import type { Winner } from "./choose-winner.ts";
import { reportTune } from "./report-tune.ts";
import { runStages } from "./run-stages.ts";
import { nothingFound, type Search } from "./search.ts";
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

/**
 * Looks for the way of drafting that makes a profile fastest: gate, one load without drafting, one traced load for each
 * drafter, the whole grid by computing, then the best few against no drafting.
 * @throws LlmctlError of the plan, `bench-no-memory`, and of a server without which nothing can be said.
 */
export async function runTune(options: TuneOptions): Promise<TuneResult> {
  const { profile, session, signal, onEvent, clock = systemClock } = options;
  const startedAt = new Date();
  const startedMs = clock.nowMs();
  const none = await planSetting(profile, undefined, { label: "none", session });
  const answers = new Map<string, string>();
  await using contest = new BenchContest({
    settings: [none],
    capacity: 1,
    folder: join(session.paths.state, ".bench"),
    timing: options.timing,
    maxTokens: options.maxTokens,
    onEvent,
    onAnswer: (label, { id }, { text }) => {
      if (label === none.label) answers.set(id, text);
    },
  });
  const progress = new TuneProgress({ clock, readLoads: () => contest.loads, onEvent });
  const search: Search = { options, none, contest, progress, answers, clock };
  const found = nothingFound();
  try {
    await findWhyInTurns([none], session);
    await runStages(search, found);
  } catch (error) {
    if (!signal.aborted) throw error;
    found.finals ??= { end: "interrupted", dropped: new Map(), elapsedMs: 0, notes: [] };
  }
  const seconds = (clock.nowMs() - startedMs) / 1000;
  return await reportTune(search, found, { startedAt: startedAt.toISOString(), seconds });
}
