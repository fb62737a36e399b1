import type { DraftTrace } from "../../llama/server/draft-trace.ts";

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
  const probability: number[] = [];
  const rowEnd: number[] = [];
  const found = { preferred: [] as TracedText["standIns"][number][], others: [] as TracedText["standIns"][number][] };
  let tokensBefore = 0;
  const texts = answers.map(({ firstToken, cycles }) => {
    const tokens = [firstToken, ...cycles.flatMap((cycle) => cycle.tokens)];
    const lists = newLists(tokens.length);
    let start = 0;
    for (const { candidates, mostDraft, tokens: added } of cycles) {
      const row = probability.length;
      const right = candidates.findIndex(({ token }, index) => token !== tokens[start + index + 1]);
      const rightLength = right < 0 ? candidates.length : right;
      for (const [index, candidate] of candidates.entries()) {
        probability.push(candidate.probability);
        rowEnd.push(row + candidates.length);
        if (index < rightBefore.least || index > rightLength || start + index + 1 >= tokens.length) continue;
        const standIn = { candidate: row + index, isRight: index < rightLength };
        found[index < rightBefore.preferred ? "others" : "preferred"].push(standIn);
      }
      for (let offset = 0; offset < added.length; offset += 1) {
        const known = Math.max(0, candidates.length - offset);
        lists.candidate[start + offset] = row + candidates.length - known;
        lists.known[start + offset] = known;
        lists.right[start + offset] = Math.max(0, rightLength - offset);
        lists.room[start + offset] = Math.max(0, mostDraft - offset);
      }
      start += added.length;
    }
    const text = { tokensBefore, length: tokens.length, ...lists };
    tokensBefore += tokens.length;
    return text;
  });
  const { preferred, others } = found;
  return {
    probability: Float64Array.from(probability),
    rowEnd: Int32Array.from(rowEnd),
    answers: texts,
    standIns: preferred.length >= fewStandIns ? preferred : [...preferred, ...others],
  };
}

function newLists(length: number) {
  const list = () => new Int32Array(length);
  return { candidate: list(), known: list(), right: list(), room: list() };
}
