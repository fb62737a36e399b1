import type { DraftCandidate, DraftTrace, TracedCycle } from "../../src/llama/server/draft-trace.ts";
import type { DraftSetting, ReplayedCycle } from "../../src/bench/predict/replay.ts";

/** What a drafter proposes after a text. */
export type Drafter = (prefix: readonly number[]) => DraftCandidate;

/** An answer of a target that says the same whatever is drafted. */
export interface SimulatedAnswer {
  readonly text: readonly number[];
  /** Number of tokens, the first one included, for which context and limit have room. */
  readonly room: number;
}

/** A drafter that is right and sure at some places, by a hash of the text so far. */
export function hashDrafter(text: readonly number[], rightRate: number, seed: number): Drafter {
  return (prefix) => {
    const hash = prefix.reduce((sum, token) => Math.imul(sum ^ token, 0x9e3779b1) ^ (sum >>> 13), seed) >>> 0;
    const isOnTrack = prefix.every((token, index) => token === text[index]);
    const isRight = isOnTrack && (hash % 1000) / 1000 < rightRate;
    const next = text[prefix.length] ?? 0;
    return { token: isRight ? next : next + 1 + (hash % 3), probability: ((hash >>> 10) % 1001) / 1000 };
  };
}

/** llama-server's loop in plain words, one token at a time. @see draft-trace.ts */
export function simulate(
  { text, room }: SimulatedAnswer,
  drafter: Drafter,
  { nMax, nMin, pMin }: DraftSetting,
): { readonly traced: TracedCycle[]; readonly cycles: ReplayedCycle[] } {
  const traced: TracedCycle[] = [];
  const cycles: ReplayedCycle[] = [];
  const said = text.slice(0, 1);
  while (said.length < text.length) {
    const mostDraft = room - said.length - 1;
    const candidates: DraftCandidate[] = [];
    let draft: number[] = [];
    while (draft.length < Math.min(nMax, mostDraft)) {
      const candidate = drafter([...said, ...draft]);
      candidates.push(candidate);
      if (candidate.probability < pMin) break;
      draft.push(candidate.token);
    }
    if (draft.length < nMin) draft = [];
    const tokens: number[] = [];
    for (const token of [...draft, undefined]) {
      const own = text[said.length];
      if (own === undefined) break;
      said.push(own);
      tokens.push(own);
      if (token !== own) break;
    }
    const checked = { drafted: draft.length, accepted: tokens.filter((token, index) => draft[index] === token).length };
    traced.push({ mostDraft, candidates, ...checked, tokens });
    cycles.push({ ...checked, evaluations: candidates.length, tokens: tokens.length, unknown: 0 });
  }
  return { traced, cycles };
}

export function traceOf(answers: readonly { text: readonly number[]; traced: readonly TracedCycle[] }[]): DraftTrace {
  return {
    type: "draft-simple",
    answers: answers.map(({ text, traced }, task) => ({ task, firstToken: text[0] ?? 0, cycles: traced })),
    leftOut: 0,
    restoresCheckpoints: false,
  };
}
