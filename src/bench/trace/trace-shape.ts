import { isBoolean, isListOf, isOptional, isShape, isText } from "../../base/text/check-shape.ts";
import type { DraftCandidate, DraftTrace, TracedAnswer, TracedCycle } from "../../llama/server/draft-trace.ts";
import { isCount, isShare } from "../round-shape.ts";

const isCandidate = isShape<DraftCandidate>({ token: isCount, probability: isShare });

const isCycle = isShape<TracedCycle>({
  mostDraft: isCount,
  candidates: isListOf(isCandidate),
  drafted: isCount,
  accepted: isCount,
  tokens: isListOf(isCount),
});

const isAnswer = isShape<TracedAnswer>({ task: isCount, firstToken: isCount, cycles: isListOf(isCycle) });

/** A trace as a journal has it. */
export const isDraftTrace = isShape<DraftTrace>({
  type: isOptional(isText),
  answers: isListOf(isAnswer),
  leftOut: isCount,
  restoresCheckpoints: isBoolean,
});
