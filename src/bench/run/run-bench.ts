import { join } from "node:path";
import { type Clock, systemClock } from "../../base/clock.ts";
import { LlmctlError } from "../../base/errors.ts";
import { llmctlVersion } from "../../base/version.ts";
import { describeComputing } from "../../llama/ask/computing-machine.ts";
import { noDraftAsked } from "../../llama/plan/draft-decision.ts";
import type { PlanSession } from "../../llama/plan/plan-session.ts";
import { findDraftingType, splitDraftingTypes } from "../../profiles/rules/drafting-types.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import type { OnBenchEvent } from "../bench-event.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import { type BenchReport, benchReportVersion } from "../bench-report.ts";
import type { Timing } from "../measurement.ts";
import type { RoundKeeper } from "../rounds/run-rounds.ts";
import { BenchContest, notDrafting } from "../servers/bench-contest.ts";
import { findWhyInTurns } from "../servers/find-servers-room.ts";
import { type BenchSetting, planSetting } from "../servers/plan-setting.ts";
import {
  type Comparison,
  estimateByKind,
  estimateFirstToken,
  summarizeWaitShare,
} from "../statistics/estimate-ratio.ts";
import { judge } from "../statistics/judge.ts";
import { speedupSentence } from "../statistics/speedup-sentence.ts";
import { planTraced } from "../trace/plan-traced.ts";
import { type KeeperOptions, noteEarlier } from "./open-keeper.ts";
import { choosePrompts, shippedPrompts } from "./choose-prompts.ts";
import { describeMachine } from "./describe-machine.ts";
import { findConcurrency } from "./find-concurrency.ts";
import { findDraftBytes } from "./find-draft-bytes.ts";
import { keepCosts } from "./keep-costs.ts";
import { explainDrafting, findReevaluation, nothingMeasured } from "./measure-drafting.ts";
import { type MeasuredPair, measurePair } from "./measure-pair.ts";
import { reportSetting } from "./report-setting.ts";

export interface BenchOptions {
  readonly profile: Profile;
  /** What it is compared with; undefined: the same profile without drafting. */
  readonly against?: Profile | undefined;
  /** Prompts of the user; undefined: the shipped ones. */
  readonly prompts: readonly BenchPrompt[] | undefined;
  /** Longest time for measurements, in milliseconds; loads do not count. */
  readonly limitMs: number;
  /** Number of prompts at the same time; undefined: as many as the profile serves. */
  readonly concurrency: number | undefined;
  readonly maxTokens: number;
  readonly timing: Timing;
  /** Whether one load more may tell what other lengths of drafts would bring. */
  readonly wantsPrediction: boolean;
  readonly session: PlanSession;
  /** Opens the place where the rounds are kept. */
  readonly openKeeper: (options: Omit<KeeperOptions, "session">) => Promise<RoundKeeper>;
  /** What was measured so far is the result after an abort. */
  readonly signal: AbortSignal;
  readonly onEvent: OnBenchEvent;
  readonly clock?: Clock;
}

/**
 * Measures a profile against the same without drafting, or against another profile.
 * @throws LlmctlError `bench-no-draft`, `bench-not-drafting`, `bench-no-memory`, `bench-nothing-measured`; of the plan
 *   and of a server that cannot be started.
 */
export async function runBench(options: BenchOptions): Promise<BenchReport> {
  const { profile, against, session, onEvent, timing, maxTokens, signal, clock = systemClock } = options;
  const startedAt = new Date();
  const startedMs = clock.nowMs();
  const pair = await planPair(options);
  const [first, second] = pair;
  const traced = await planTrace(options);
  const why = await findWhyInTurns(pair, session);
  if (why !== undefined) onEvent({ kind: "note", text: inTurns(why) });
  const concurrency = findConcurrency(options);
  const promptIds = options.prompts?.map(({ id }) => id) ?? [shippedPrompts];
  const keeper = await options.openKeeper({
    purpose: "bench",
    settings: pair,
    promptIds,
    concurrency,
    timing,
    maxTokens,
  });
  noteEarlier(keeper, onEvent);
  await using contest = new BenchContest({
    settings: traced === undefined ? pair : [...pair, traced],
    capacity: why === undefined ? pair.length : 1,
    folder: join(session.paths.state, ".bench"),
    timing,
    maxTokens,
    onEvent,
  });
  const server = async () => (await contest.server(first.label, signal)).server;
  const { prompts, notes } = await choosePrompts(options.prompts, { server, keeper, signal }).catch(
    (error: unknown) => {
      if (!signal.aborted) throw error;
      return { prompts: [], notes: [] };
    },
  );
  const comparison: Comparison = { first: first.label, second: second.label, timing };
  const measured = signal.aborted
    ? interrupted
    : await measurePair({
        ...options,
        comparison,
        contestants: pair,
        prompts,
        concurrency,
        isInterleaved: why === undefined,
        contest,
        keeper,
      });
  const isWhole = against === undefined && !["interrupted", "server-died"].includes(measured.end);
  const { measured: drafting, notes: notExplained } = isWhole
    ? await explainDrafting({
        plain: first,
        drafting: second,
        traced,
        contest,
        prompts,
        keeper,
        timing,
        session,
        signal,
      })
    : { measured: nothingMeasured, notes: [] };
  const { rounds } = keeper;
  const verdict = judge(rounds, comparison, measured.elapsedMs);
  const firstToken = estimateFirstToken(rounds, comparison) ?? null;
  const draftBytes = against === undefined ? await findDraftBytes(first, second, session) : null;
  const notKept = first.launch.proof.wanted
    ? undefined
    : await keepCosts(
        {
          source: "bench",
          plain: first,
          drafting: against === undefined ? second : undefined,
          rounds,
          timing,
          concurrency,
          batches: drafting.costs,
          machine: await describeComputing(() => session.listDevices(first.launch.file, first.launch.env)),
          reevaluates: await findReevaluation(second, session),
        },
        session.paths.data,
      );
  return {
    version: benchReportVersion,
    llmctl: llmctlVersion,
    profile: profile.name,
    startedAt: startedAt.toISOString(),
    seconds: (clock.nowMs() - startedMs) / 1000,
    end: measured.end,
    machine: await describeMachine(second, session),
    build: second.launch.build,
    timing,
    concurrency,
    settings: [
      await reportSetting(first, contest.loadMs.get(first.label)),
      await reportSetting(second, contest.loadMs.get(second.label)),
    ],
    prompts: prompts.map(({ id, kind, excerpt }) => ({ id, kind, excerpt })),
    rounds,
    verdict,
    byKind: estimateByKind(rounds, prompts, comparison),
    firstToken,
    draftBytes,
    ...drafting,
    waitShare: summarizeWaitShare(rounds),
    sentence: speedupSentence(verdict, { firstToken, draftBytes, elapsedMs: measured.elapsedMs }),
    notes: [
      ...(why === undefined ? [] : [inTurns(why)]),
      ...notes,
      ...measured.notes,
      ...notExplained,
      ...(notKept === undefined ? [] : [notKept]),
    ],
  };
}

/** Before the first server was ready. */
const interrupted: MeasuredPair = { end: "interrupted", elapsedMs: 0, notes: [] };

function inTurns(why: string): string {
  return `the servers take turns: ${why}`;
}

/** A drafter that can be traced tells what other lengths of drafts would bring. */
async function planTrace({
  profile,
  against,
  wantsPrediction,
  session,
}: BenchOptions): Promise<BenchSetting | undefined> {
  const { draft } = profile.values;
  const sources = splitDraftingTypes(draft?.type ?? "").map((type) => findDraftingType(type)?.source);
  const isTraceable = sources.length === 1 && (sources[0] === "model" || sources[0] === "nextn");
  if (draft === undefined || against !== undefined || !wantsPrediction || !isTraceable) return undefined;
  return planTraced(profile, draft, { label: "traced", session });
}

type SettingPair = readonly [BenchSetting, BenchSetting];

/**
 * The setting to compare with, then the profile's own.
 * @throws LlmctlError `bench-no-draft`, `bench-not-drafting`; of the plan.
 */
export async function planPair({
  profile,
  against,
  session,
}: Pick<BenchOptions, "profile" | "against" | "session">): Promise<SettingPair> {
  const { draft } = profile.values;
  const isSame = against?.path === profile.path;
  const own = against === undefined ? "profile" : profile.name;
  const other = isSame ? `${profile.name} again` : against?.name;
  if (against === undefined && draft === undefined) throw noDraft(profile);
  const second = await planSetting(profile, draft, { label: own, session });
  const { proof } = second.launch;
  if (against === undefined && !proof.wanted) throw notDrafting(profile.name, proof.reason, profile.at("draft"));
  const first =
    against === undefined
      ? await planSetting(profile, undefined, { label: "none", session })
      : await planSetting(against, against.values.draft, { label: other ?? "other", session });
  return [first, second];
}

function noDraft({ name, at }: Profile): LlmctlError {
  return new LlmctlError("bench-no-draft", `"${name}" does not draft: ${noDraftAsked}`, {
    exit: "config",
    at: at("draft"),
    fix: {
      before: "give another profile with --against, or",
      run: ["tune", name],
      after: "to look for a way of drafting that pays",
    },
  });
}
