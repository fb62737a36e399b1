import type { DraftTrace } from "../../llama/server/draft-trace.ts";
import { flattenTrace, type TracedText } from "./traced-text.ts";

/** Settings of a drafter; the names are those of a profile's `draft`. */
export interface DraftSetting {
  readonly nMax: number;
  readonly nMin: number;
  readonly pMin: number;
}

/** One step of the target, as it would be under another setting. */
export interface ReplayedCycle {
  /** Number of tokens that the target checks together with the last sampled one. */
  readonly drafted: number;
  readonly accepted: number;
  /** Number of tokens that the drafter evaluates to make the draft. */
  readonly evaluations: number;
  /** Number of tokens that the step adds to the answer. */
  readonly tokens: number;
  /** Number of proposals that the trace does not tell, and that were guessed. */
  readonly unknown: number;
}

/**
 * Walks a trace as if the server had run with other settings.
 *
 * Where nothing is unknown, the steps are exactly those of the server: the text is the same, because a checked token
 * is always the target's own choice, and the drafter proposes the same after the same text. Two things can be
 * unknown, both at the end of a row that the trace's own n_max has cut:
 *
 * - After a right candidate: whether the next one is right. Another candidate of the trace that follows right ones
 *   stands in for it, always the same one for the same place, so that settings stay comparable. When it is right, the
 *   draft goes on with what is known at the start of the next step.
 * - After a wrong candidate: how long the draft goes on. It is taken to go on to its limit; none of it can be accepted.
 *
 * Limits: the log rounds probabilities to three decimals. The drafter of MTP reads the target's state, which differs a
 * little inside a batch; its replay is an approximation.
 */
export class DraftReplay {
  readonly #text: TracedText;
  /** MTP notices only n_max while it drafts. @see draft-trace.ts */
  readonly #ignoresRoom: boolean;
  /** Per candidate: number of candidates from it on before the first one below `#pMin`. */
  readonly #runs: Int32Array;
  #pMin = Number.NaN;
  /** The step that is being walked: one object for all, because a grid visits a million. */
  readonly #cycle: Writable<ReplayedCycle> = { drafted: 0, accepted: 0, evaluations: 0, tokens: 0, unknown: 0 };

  constructor(trace: DraftTrace) {
    this.#text = flattenTrace(trace);
    this.#ignoresRoom = trace.type === "draft-mtp";
    this.#runs = new Int32Array(this.#text.probability.length + 1);
  }

  /** The steps of each answer, in the order of the trace. @param setting `nMax` up to that of the trace. */
  replay(setting: DraftSetting): ReplayedCycle[][] {
    return this.#text.answers.map((_, answer) => {
      const cycles: ReplayedCycle[] = [];
      this.walkAnswer(answer, setting, (cycle) => cycles.push({ ...cycle }));
      return cycles;
    });
  }

  /** Visits every step of all answers. @param visit Gets the same object each time, with other values. */
  walk(setting: DraftSetting, visit: (cycle: ReplayedCycle) => void): void {
    for (let answer = 0; answer < this.#text.answers.length; answer += 1) this.walkAnswer(answer, setting, visit);
  }

  /** @param index Of the answer in the trace. */
  walkAnswer(index: number, setting: DraftSetting, visit: (cycle: ReplayedCycle) => void): void {
    const answer = this.#text.answers[index];
    if (answer === undefined) return;
    this.#findRuns(setting.pMin);
    const cycle = this.#cycle;
    const last = answer.length - 1;
    for (let place = 0; place < last; place += cycle.tokens) {
      cycle.drafted = cycle.accepted = cycle.evaluations = cycle.unknown = 0;
      const room = at(answer.room, place);
      if (room > 0 && setting.nMax > 0) {
        this.#propose(answer, place, this.#ignoresRoom ? setting.nMax : Math.min(setting.nMax, room));
        cycle.drafted = cycle.drafted < setting.nMin ? 0 : Math.min(cycle.drafted, room);
      }
      // A draft may run beyond the end of the answer.
      cycle.accepted = Math.min(cycle.accepted, cycle.drafted, last - place);
      cycle.tokens = Math.min(cycle.accepted + 1, last - place);
      visit(cycle);
    }
  }

  /** What the drafter would propose after a place: into {@link #cycle}. */
  #propose(answer: Answer, place: number, limit: number): void {
    const cycle = this.#cycle;
    for (let here = place; ;) {
      const known = at(answer.known, here);
      const right = at(answer.right, here);
      const run = Math.min(known, at(this.#runs, at(answer.candidate, here)));
      const taken = Math.min(run, limit - cycle.drafted);
      cycle.drafted += taken;
      cycle.accepted += Math.min(right, taken);
      if (cycle.drafted === limit) return this.#endAtLimit(limit);
      if (run < known) return this.#endByProbability();
      if (right < known) return this.#endAtLimit(limit);
      here += known;
      // The last candidate of a row may not have been drafted in the trace; then the next step starts with it.
      if (here < answer.length && at(answer.known, here) > 0) continue;
      const standIn = this.#findStandIn(answer, here);
      if (standIn === undefined || here + 1 >= answer.length) return this.#endAtLimit(limit);
      cycle.unknown += 1;
      if (at(this.#text.probability, standIn.candidate) < this.#pMin) return this.#endByProbability();
      cycle.drafted += 1;
      if (!standIn.isRight) return this.#goOnWrong(standIn.candidate, limit);
      cycle.accepted += 1;
      if (cycle.drafted === limit) return this.#endAtLimit(limit);
      here += 1;
    }
  }

  #endAtLimit(limit: number): void {
    this.#cycle.unknown += limit - this.#cycle.drafted;
    this.#cycle.drafted = this.#cycle.evaluations = limit;
  }

  /** The token below p_min was evaluated for, and is not drafted. */
  #endByProbability(): void {
    this.#cycle.evaluations = this.#cycle.drafted + 1;
  }

  #findStandIn({ tokensBefore }: Answer, place: number): TracedText["standIns"][number] | undefined {
    const { standIns } = this.#text;
    // Fibonacci hashing: places beside each other get candidates far from each other.
    return standIns[(Math.imul(tokensBefore + place, 2_654_435_761) >>> 0) % standIns.length];
  }

  /** After a wrong stand-in the draft goes on as it did there. */
  #goOnWrong(standIn: number, limit: number): void {
    const known = at(this.#text.rowEnd, standIn) - standIn - 1;
    const run = Math.min(known, at(this.#runs, standIn + 1));
    if (run === known || this.#cycle.drafted + run >= limit) return this.#endAtLimit(limit);
    this.#cycle.drafted += run;
    this.#cycle.unknown += run;
    this.#endByProbability();
  }

  #findRuns(pMin: number): void {
    if (this.#pMin === pMin) return;
    this.#pMin = pMin;
    const { probability, rowEnd } = this.#text;
    for (let index = probability.length - 1; index >= 0; index -= 1) {
      const next = at(rowEnd, index) === index + 1 ? 0 : at(this.#runs, index + 1);
      this.#runs[index] = at(probability, index) < pMin ? 0 : next + 1;
    }
  }
}

type Answer = TracedText["answers"][number];
type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** The lists are as long as the walk needs them. */
function at(list: Int32Array | Float64Array, index: number): number {
  return list[index] ?? 0;
}
