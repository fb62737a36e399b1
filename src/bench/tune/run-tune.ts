import { join } from "node:path";
import { systemClock } from "../../base/clock.ts";
import { BenchContest } from "../servers/bench-contest.ts";
import { findWhyInTurns } from "../servers/find-servers-room.ts";
import { planSetting } from "../servers/plan-setting.ts";
import { reportTune, type TuneResult } from "./report-tune.ts";
import { runStages } from "./run-stages.ts";
import { nothingFound, type Search, type TuneOptions } from "./search.ts";
import { TuneProgress } from "./tune-progress.ts";

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
