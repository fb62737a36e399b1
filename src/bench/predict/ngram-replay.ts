import { addCycles, type CycleSums, type DraftingCosts, predictSpeedup } from "./drafting-cost.ts";
import {
  isSame,
  type NgramDrafter,
  ngramMod,
  type NgramModSetting,
  ngramSimple,
  type NgramSimpleSetting,
} from "./ngram-drafters.ts";
import type { ReplayedCycle } from "./replay.ts";

/** A prompt with its answer, as token ids. */
export interface AnsweredPrompt {
  readonly prompt: readonly number[];
  readonly answer: readonly number[];
  /** Number of tokens of an answer for which the context or the request had room; the answer may have ended before. */
  readonly room: number;
}

/** The n-gram types of llama.cpp with what decides about their drafts. */
export type NgramSetting =
  | NgramSimpleSetting
  | NgramModSetting
  | { readonly type: "ngram-map-k" | "ngram-map-k4v"; readonly sizeN: number; readonly sizeM: number }
  | { readonly type: "ngram-cache" };

export interface NgramPrediction {
  /** Predicted speed over that without drafting; of a bound: no drafter of this type is faster. */
  readonly ratio: number;
  /** The rules of some types are too many to play them: a bound well above 1 says that measuring is worth while. */
  readonly isBound: boolean;
  readonly sums: CycleSums;
}

/**
 * What a type would do for these texts, one after the other on one server.
 * @param target What batches cost the target; entry `k - 1` is a batch of `k` tokens.
 * @returns undefined without costs or tokens.
 */
export function predictNgram(
  texts: readonly AnsweredPrompt[],
  setting: NgramSetting,
  target: readonly number[],
): NgramPrediction | undefined {
  const sums = addCycles(replayNgram(texts, setting).flat());
  const costs: DraftingCosts = { batches: { target, draft: null }, reevaluates: false };
  const ratio = predictSpeedup(sums, costs);
  const isBound = setting.type !== "ngram-simple" && setting.type !== "ngram-mod";
  return ratio === undefined ? undefined : { ratio, isBound, sums };
}

/** The steps of each text. Of `ngram-simple` and `ngram-mod` they are those of v0.5.0; of others, the best possible. */
export function replayNgram(texts: readonly AnsweredPrompt[], setting: NgramSetting): ReplayedCycle[][] {
  const drafter = createDrafter(setting);
  return texts.map((text) => replayText(text, drafter));
}

function createDrafter(setting: NgramSetting): NgramDrafter {
  switch (setting.type) {
    case "ngram-simple":
      return ngramSimple(setting);
    case "ngram-mod":
      return ngramMod(setting);
    case "ngram-map-k":
    case "ngram-map-k4v":
      return bestCopy(setting);
    case "ngram-cache":
      return bestPairs(longestCacheDraft);
  }
}

/** @see llama.cpp common/speculative.cpp `common_speculative_n_max`, v0.5.0 */
const longestCacheDraft = 8;

function replayText({ prompt, answer, room }: AnsweredPrompt, drafter: NgramDrafter): ReplayedCycle[] {
  const text = [...prompt, ...answer];
  const cycles: ReplayedCycle[] = [];
  drafter.begin(text, prompt.length);
  for (let said = 1; said < answer.length;) {
    const last = prompt.length + said - 1;
    const most = room - said - 1;
    const draft = most > 0 ? drafter.draft(text, last).slice(0, most) : [];
    const wrong = draft.findIndex((token, index) => token !== text[last + 1 + index]);
    const accepted = wrong < 0 ? draft.length : wrong;
    if (draft.length > 0) drafter.accept(accepted);
    const tokens = Math.min(accepted + 1, answer.length - said);
    cycles.push({ drafted: draft.length, accepted, evaluations: 0, tokens, unknown: 0 });
    said += tokens;
  }
  return cycles;
}

/**
 * Knows what comes, and drafts that as far as it follows any earlier place with the same n-gram: no drafter that copies
 * from such a place does better.
 */
function bestCopy({ sizeN, sizeM }: { readonly sizeN: number; readonly sizeM: number }): NgramDrafter {
  return { begin: () => {}, accept: () => {}, draft };

  function draft(text: readonly number[], last: number): number[] {
    const pattern = last - sizeN + 1;
    let best = 0;
    for (let place = pattern - 1; place >= 0; place -= 1) {
      if (!isSame(text, { place, other: pattern, size: sizeN })) continue;
      const from = place + sizeN;
      let length = 0;
      while (length < sizeM && from + length <= last && text[from + length] === text[last + 1 + length]) length += 1;
      best = Math.max(best, length);
    }
    return text.slice(last + 1, last + 1 + best);
  }
}

/** Knows what comes, and drafts that as long as each token has followed the one before it earlier. */
function bestPairs(most: number): NgramDrafter {
  let pairs = new Set<string>();
  let seen = 0;
  return {
    begin: () => {
      pairs = new Set();
      seen = 0;
    },
    accept: () => {},
    draft: (text, last) => {
      for (; seen < last; seen += 1) pairs.add(`${text[seen]} ${text[seen + 1]}`);
      let length = 0;
      while (length < most && pairs.has(`${text[last + length]} ${text[last + length + 1]}`)) length += 1;
      return text.slice(last + 1, last + 1 + length);
    },
  };
}
