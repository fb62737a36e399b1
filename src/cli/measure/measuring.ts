import { exitCodes } from "../../base/exit-codes.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { RoundJournal } from "../../bench/journal/round-journal.ts";
import type { OnBenchEvent } from "../../bench/bench-event.ts";
import { type KeeperOptions, openKeeper } from "../../bench/run/open-keeper.ts";
import { type Pause, pauseProfiles } from "../../fleet/pause/pause-profiles.ts";
import { PlanSession } from "../../llama/plan/plan-session.ts";
import { interruptible } from "../screen/interruptible.ts";
import { BenchScreen } from "./bench-screen.ts";

export interface MeasuringOptions {
  readonly paths: Paths;
  /** Running profiles that stop for the time of the measurement. */
  readonly replace: readonly string[];
  /** Finds what would keep the measurement from beginning: nothing is stopped for that. @throws LlmctlError */
  readonly plan: (session: PlanSession) => Promise<unknown>;
  /** Whether what was measured before does not count. */
  readonly fresh: boolean;
  /** What is known before it begins, for people. */
  readonly notes: readonly string[];
}

/** What a measurement gets from its command. */
export interface MeasuringContext {
  readonly session: PlanSession;
  readonly signal: AbortSignal;
  readonly onEvent: OnBenchEvent;
  readonly openKeeper: (options: Omit<KeeperOptions, "session">) => Promise<RoundJournal>;
  /** Removes what is drawn in place. */
  readonly clearScreen: () => void;
  /** Forgets what was measured: the result is published. */
  readonly forget: () => Promise<void>;
}

/**
 * Runs a measurement: with its progress on stderr, Ctrl-C that ends it with what it has, and servers that stop for its
 * time and run again afterwards, however it ends.
 * @returns the exit code: of the measurement, else of what did not run again.
 */
export async function measuring(
  { paths, replace, plan, fresh, notes }: MeasuringOptions,
  measure: (context: MeasuringContext) => Promise<number>,
): Promise<number> {
  const screen = new BenchScreen();
  for (const text of notes) screen.show({ kind: "note", text });
  const session = new PlanSession(paths, process.env);
  const journals: RoundJournal[] = [];
  let pause: Pause | undefined;
  let code: number = exitCodes.failed.code;
  try {
    if (replace.length > 0) {
      await plan(session);
      pause = await pauseProfiles(replace, { paths, onStop: (event) => screen.showStop(event) });
    }
    code = await interruptible((signal) =>
      measure({
        session,
        signal,
        onEvent: (event) => screen.show(event),
        openKeeper: async (options) => {
          const journal = await openKeeper({ ...options, session });
          journals.push(journal);
          if (fresh) await journal.clear();
          return journal;
        },
        clearScreen: () => screen.clear(),
        forget: async () => {
          for (const journal of journals) await journal.clear();
        },
      }),
    );
  } finally {
    screen.clear();
    for (const journal of journals) await journal[Symbol.asyncDispose]();
    const resumed = (await pause?.end((message) => screen.showResume(message))) ?? 0;
    screen.clear();
    if (code === 0) code = resumed;
  }
  return code;
}
