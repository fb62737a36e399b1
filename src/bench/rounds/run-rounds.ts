import { type Clock, systemClock } from "../../base/clock.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import { type FailedRequest, isMeasured, type Measurement, type Round } from "../measurement.ts";
import { isResult } from "../round-shape.ts";
import { orderOf } from "./order-of.ts";

type Result = Measurement | FailedRequest;

/** A way of running the model, as far as the rounds are concerned. */
export interface Contestant {
  readonly label: string;
  /** Its server remembers prompts that it has answered, so no server of it may see a prompt twice. */
  readonly remembers: boolean;
}

/** Servers that answer prompts. */
export interface Contest {
  /**
   * Asks the server of a contestant for prompts at the same time; starts the server where it does not run.
   * @throws LlmctlError where it cannot be started; the reason of the signal after an abort.
   */
  readonly ask: (label: string, prompts: readonly BenchPrompt[], signal: AbortSignal) => Promise<readonly Result[]>;
  /** Stops the server of a contestant; the next `ask` starts another. */
  readonly renew: (label: string) => Promise<void>;
  /** Share of the time for which the servers waited for a processor since the last call, 0..1; null: unknown. */
  readonly readWaitShare: () => number | null;
}

/** Where rounds are kept. */
export interface RoundKeeper {
  readonly rounds: readonly Round[];
  readonly add: (round: Round) => Promise<void>;
  /** Something else that was kept, by its name; undefined where it has another shape. */
  readonly get: <T>(name: string, isOurs: (value: unknown) => value is T) => T | undefined;
  readonly put: (name: string, value: unknown) => Promise<void>;
}

export interface RoundsOptions {
  readonly contestants: readonly Contestant[];
  readonly prompts: readonly BenchPrompt[];
  /** Number of prompts that a server is asked at the same time. */
  readonly concurrency: number;
  /** Whether all servers run at the same time. Else each answers its prompts of a pass before the next one starts. */
  readonly isInterleaved: boolean;
  readonly contest: Contest;
  readonly keeper: RoundKeeper;
  /** Whether the rounds so far are enough; asked after each round. */
  readonly isEnough: (rounds: readonly Round[]) => boolean;
  /** Longest time in milliseconds; a round that has begun is finished, and so is a pass of servers that take turns. */
  readonly limitMs: number;
  /** Most passes over the prompts. */
  readonly mostPasses: number;
  readonly signal: AbortSignal;
  readonly onRound?: (round: Round) => void;
  readonly clock?: Pick<Clock, "nowMs">;
}

/** Why the rounds ended. */
export type RoundsEnd = "enough" | "time-over" | "passes-done" | "interrupted";

/**
 * Asks every contestant every prompt, again and again. Rounds that are kept already are not made again.
 * @throws LlmctlError of the contest.
 */
export async function runRounds(options: RoundsOptions): Promise<RoundsEnd> {
  const { signal } = options;
  const kept = keptRounds(options);
  try {
    return await (options.isInterleaved ? interleave(options, kept) : alternate(options, kept));
  } catch (error) {
    if (signal.aborted) return "interrupted";
    throw error;
  }
}

/** The rounds in which every contestant took part. */
function keptRounds({ keeper, contestants, prompts }: RoundsOptions): Round[] {
  const known = new Set(prompts.map(({ id }) => id));
  return keeper.rounds.filter(
    ({ promptId, results }) => known.has(promptId) && contestants.every(({ label }) => label in results),
  );
}

/** One prompt after the other, each asked of all contestants. */
async function interleave(options: RoundsOptions, kept: Round[]): Promise<RoundsEnd> {
  const { contestants, contest, signal, mostPasses } = options;
  const labels = contestants.map(({ label }) => label);
  const timer = startTimer(options);
  for (let pass = 0; pass < mostPasses; pass += 1) {
    const batches = missingBatches(options, kept, pass);
    if (pass > 0 && batches.length > 0) await renewForgetful(options);
    for (const batch of batches) {
      const end = findEnd(options, kept, timer);
      if (end !== undefined) return end;
      const order = orderOf(labels, kept.length);
      const answers = new Map<string, readonly Result[]>();
      contest.readWaitShare();
      for (const label of order) answers.set(label, await contest.ask(label, batch, signal));
      await keepRounds(batch, { pass, order, answers }, { options, kept });
    }
  }
  return findEnd(options, kept, timer) ?? "passes-done";
}

/** One contestant after the other, each asked the same prompts of a pass. */
async function alternate(options: RoundsOptions, kept: Round[]): Promise<RoundsEnd> {
  const { contestants, contest, mostPasses } = options;
  const labels = contestants.map(({ label }) => label);
  const timer = startTimer(options);
  for (let pass = 0; pass < mostPasses; pass += 1) {
    const batches = missingBatches(options, kept, pass);
    if (batches.length === 0) continue;
    const end = findEnd(options, kept, timer);
    if (end !== undefined) return end;
    if (pass > 0) await renewForgetful(options);
    const order = orderOf(labels, pass);
    contest.readWaitShare();
    const asked = await answerFirst(order, { pass, batches, timer }, options);
    for (const label of order.slice(1, -1)) for (const batch of asked) await answer(label, { pass, batch }, options);
    // The last one completes a round with each answer, so an interrupt loses none.
    for (const batch of asked) {
      const answers = new Map<string, readonly Result[]>();
      for (const label of order) answers.set(label, await answer(label, { pass, batch }, options));
      await keepRounds(batch, { pass, order, answers }, { options, kept });
    }
    if (asked.length < batches.length) return findEnd(options, kept, timer) ?? "time-over";
  }
  return findEnd(options, kept, timer) ?? "passes-done";
}

/** Fewer prompts show nothing, however long the others of the pass would have taken. */
const fewestInTurns = 4;

interface Pass {
  readonly pass: number;
  readonly batches: readonly (readonly BenchPrompt[])[];
  readonly timer: Timer;
}

/**
 * The answers of the contestant that comes first. It takes its share of the time that is left, its load not counted.
 * @returns the batches that it was asked, which are those of the others, too.
 */
async function answerFirst(
  order: readonly string[],
  { pass, batches, timer }: Pass,
  options: RoundsOptions,
): Promise<Pass["batches"]> {
  const [label = ""] = order;
  let share: Timer | undefined;
  let prompts = 0;
  for (const [index, batch] of batches.entries()) {
    await answer(label, { pass, batch }, options);
    prompts += batch.length;
    share ??= startTimer({ ...options, limitMs: timer.leftMs() / order.length });
    if (prompts >= fewestInTurns && share.leftMs() <= 0) return batches.slice(0, index + 1);
  }
  return batches;
}

const notAsked: FailedRequest = { error: "it was not asked" };

/** The answers of one contestant to a batch of a pass; each one is kept as soon as it is there, and not asked again. */
async function answer(
  label: string,
  { pass, batch }: { readonly pass: number; readonly batch: readonly BenchPrompt[] },
  { contest, keeper, signal }: RoundsOptions,
): Promise<readonly Result[]> {
  const nameOf = (id: string) => `pass ${pass} of ${label}: ${id}`;
  const missing = batch.filter(({ id }) => keeper.get(nameOf(id), isResult) === undefined);
  const results = missing.length === 0 ? [] : await contest.ask(label, missing, signal);
  for (const [index, { id }] of missing.entries()) await keeper.put(nameOf(id), results[index] ?? notAsked);
  return batch.map(({ id }) => keeper.get(nameOf(id), isResult) ?? notAsked);
}

interface MadeRounds {
  readonly pass: number;
  readonly order: readonly string[];
  /** By label, in the order of the prompts. */
  readonly answers: ReadonlyMap<string, readonly Result[]>;
}

async function keepRounds(
  batch: readonly BenchPrompt[],
  { pass, order, answers }: MadeRounds,
  { options, kept }: { readonly options: RoundsOptions; readonly kept: Round[] },
): Promise<void> {
  const { contest, keeper, onRound } = options;
  const waitShare = contest.readWaitShare();
  for (const [index, { id }] of batch.entries()) {
    const results = Object.fromEntries(order.map((label) => [label, answers.get(label)?.[index] ?? notAsked]));
    const round: Round = { promptId: id, pass, order, results, waitShare, at: new Date().toISOString() };
    await keeper.add(round);
    kept.push(round);
    onRound?.(round);
  }
}

/** The prompts of a pass that have no round yet, as many together as are asked at the same time. */
function missingBatches(
  { prompts, concurrency }: RoundsOptions,
  kept: readonly Round[],
  pass: number,
): (readonly BenchPrompt[])[] {
  const made = new Set(kept.filter((round) => round.pass === pass).map(({ promptId }) => promptId));
  const missing = prompts.filter(({ id }) => !made.has(id));
  return Array.from({ length: Math.ceil(missing.length / concurrency) }, (_, index) =>
    missing.slice(index * concurrency, (index + 1) * concurrency),
  );
}

async function renewForgetful({ contestants, contest }: RoundsOptions): Promise<void> {
  for (const { label, remembers } of contestants) if (remembers) await contest.renew(label);
}

interface Timer {
  /** Milliseconds; not above 0 when the time is over. */
  readonly leftMs: () => number;
}

function startTimer({ limitMs, clock = systemClock }: Pick<RoundsOptions, "limitMs" | "clock">): Timer {
  const endMs = clock.nowMs() + limitMs;
  return { leftMs: () => endMs - clock.nowMs() };
}

function findEnd(
  { isEnough, signal }: RoundsOptions,
  kept: readonly Round[],
  { leftMs }: Timer,
): RoundsEnd | undefined {
  if (signal.aborted) return "interrupted";
  if (kept.length > 0 && isEnough(kept)) return "enough";
  return leftMs() <= 0 ? "time-over" : undefined;
}

/** Whether every contestant has answered in this round. */
export function isWhole({ results, order }: Round): boolean {
  return order.every((label) => isMeasured(results[label]));
}
