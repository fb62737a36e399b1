import type { DraftTrace, TracedCycle } from "../../llama/server/draft-trace.ts";

/**
 * A trace as flat lists, for walks by the thousand.
 *
 * The drafter proposes the same token after the same text. So what it proposed in one step of the trace also says what
 * it would propose from within the accepted part of that step: the rest of the row.
 */
export interface TracedText {
  /** Per candidate of all steps: its probability, 0..1. */
  readonly probability: Float64Array;
  /** Per candidate: where the row of its step ends. */
  readonly rowEnd: Int32Array;
  readonly answers: readonly AnswerText[];
  /**
   * Candidates that follow at least one right one, and whether they were right too. They stand in for the one that is
   * not known: what the drafter proposes after a row whose last candidate was right.
   */
  readonly standIns: readonly { readonly candidate: number; readonly isRight: boolean }[];
}

/** Lists by the place of a token in the answer, from the first token on. */
interface AnswerText {
  /** Of all answers before. */
  readonly tokensBefore: number;
  readonly length: number;
  /** The first candidate for the next token; a step without candidates has that of the next step. */
  readonly candidate: Int32Array;
  /** Number of candidates that are known from here on in a row. */
  readonly known: Int32Array;
  /** Number of these that are right before the first wrong one. */
  readonly right: Int32Array;
  /** Number of tokens for which context and answer have room. */
  readonly room: Int32Array;
}

/** A row of right candidates says more about the next one than the start of a row, where the text is hard. */
const rightBefore = { preferred: 4, least: 1 } as const;
/** Too few would repeat one chance event again and again. */
const fewStandIns = 20;

export function flattenTrace({ answers }: DraftTrace): TracedText {
  const rows = new RowList();
  const texts: AnswerText[] = [];
  let tokensBefore = 0;
  for (const { firstToken, cycles } of answers) {
    const tokens = [firstToken, ...cycles.flatMap((cycle) => cycle.tokens)];
    const places = newPlaces(tokens.length);
    let start = 0;
    for (const cycle of cycles) {
      const next = tokens.slice(start + 1, start + 1 + cycle.candidates.length);
      addPlaces(places, start, { cycle, ...rows.add(cycle, next) });
      start += cycle.tokens.length;
    }
    texts.push({ tokensBefore, length: tokens.length, ...places });
    tokensBefore += tokens.length;
  }
  return { answers: texts, ...rows.read() };
}

/** The candidates of all steps, one row for each step. */
class RowList {
  readonly #probability: number[] = [];
  readonly #rowEnd: number[] = [];
  readonly #standIns: Record<"preferred" | "others", TracedText["standIns"][number][]> = { preferred: [], others: [] };

  /**
   * @param next The tokens that the answer has in these places; it may have ended before.
   * @returns the number of the first candidate, and how many are right before the first wrong one.
   */
  add(
    { candidates, drafted, accepted }: TracedCycle,
    next: readonly number[],
  ): { readonly row: number; readonly right: number } {
    const row = this.#probability.length;
    // A server with synthetic acceptance also rejects the token that the target then chooses.
    const wrong = candidates.findIndex(
      ({ token }, index) => token !== next[index] || (index === accepted && index < drafted),
    );
    const right = wrong < 0 ? candidates.length : wrong;
    for (const [index, { probability }] of candidates.entries()) {
      this.#probability.push(probability);
      this.#rowEnd.push(row + candidates.length);
      if (index < rightBefore.least || index > right || index >= next.length) continue;
      const kind = index < rightBefore.preferred ? "others" : "preferred";
      this.#standIns[kind].push({ candidate: row + index, isRight: index < right });
    }
    return { row, right };
  }

  read(): Omit<TracedText, "answers"> {
    const { preferred, others } = this.#standIns;
    return {
      probability: Float64Array.from(this.#probability),
      rowEnd: Int32Array.from(this.#rowEnd),
      standIns: preferred.length >= fewStandIns ? preferred : [...preferred, ...others],
    };
  }
}

type Places = Pick<AnswerText, "candidate" | "known" | "right" | "room">;

function newPlaces(length: number): Places {
  const list = () => new Int32Array(length);
  return { candidate: list(), known: list(), right: list(), room: list() };
}

/** The places at which a step could have begun under another setting: its own, and those of its accepted tokens. */
function addPlaces(
  places: Places,
  start: number,
  { cycle, row, right }: { readonly cycle: TracedCycle; readonly row: number; readonly right: number },
): void {
  const { candidates, mostDraft, tokens } = cycle;
  for (let offset = 0; offset < tokens.length; offset += 1) {
    const known = Math.max(0, candidates.length - offset);
    places.candidate[start + offset] = row + candidates.length - known;
    places.known[start + offset] = known;
    places.right[start + offset] = Math.max(0, right - offset);
    places.room[start + offset] = Math.max(0, mostDraft - offset);
  }
}
