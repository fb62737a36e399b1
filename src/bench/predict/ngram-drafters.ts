/** Finds drafts in the text so far, as one of llama.cpp's n-gram types. */
export interface NgramDrafter {
  /** A prompt was evaluated. @param size Number of its tokens; they are the first ones of `text`. */
  readonly begin: (text: readonly number[], size: number) => void;
  /**
   * The draft for the tokens after `text[last]`, the last sampled one.
   * @param text More may follow in it: the rest of the answer, which the drafter does not look at.
   */
  readonly draft: (text: readonly number[], last: number) => number[];
  /** The number of tokens of the last draft that were right; only called when it was not empty. */
  readonly accept: (count: number) => void;
}

export interface NgramSimpleSetting {
  readonly type: "ngram-simple";
  /** Number of tokens that have to repeat. */
  readonly sizeN: number;
  /** Longest draft. */
  readonly sizeM: number;
}

/**
 * Copies what followed the last place where the text ended in the same tokens.
 * @see llama.cpp common/ngram-map.cpp `common_ngram_simple_draft`, v0.5.0
 */
export function ngramSimple({ sizeN, sizeM }: Pick<NgramSimpleSetting, "sizeN" | "sizeM">): NgramDrafter {
  return { begin: () => {}, accept: () => {}, draft };

  function draft(text: readonly number[], last: number): number[] {
    if (last <= sizeN + sizeM + 1) return [];
    const pattern = last - sizeN + 1;
    // The first token of the text is never looked at, as there.
    for (let place = last - sizeN - 1; place > 0; place -= 1) {
      if (!isSame(text, { place, other: pattern, size: sizeN })) continue;
      const from = place + sizeN;
      const length = Math.min(sizeM, last - from);
      return length < sizeN ? [] : text.slice(from, from + length);
    }
    return [];
  }
}

export interface NgramModSetting {
  readonly type: "ngram-mod";
  /** Number of tokens that have to repeat. */
  readonly match: number;
  readonly nMin: number;
  readonly nMax: number;
}

/** New tokens are learned so many at a time. */
const chunk = 32;
/** Drafts of which fewer were right are bad ones; so many in a row make the drafter forget everything. */
const bad = { share: 0.25, most: 5 } as const;

/**
 * Remembers the token after each n-gram, also from the prompts before.
 *
 * Its table has four million places by a hash. Here no two n-grams share a place: with some ten thousand tokens that
 * happens to a few in a thousand.
 * @see llama.cpp common/speculative.cpp `common_speculative_impl_ngram_mod`, v0.5.0
 */
export function ngramMod({ match, nMin, nMax }: Pick<NgramModSetting, "match" | "nMin" | "nMax">): NgramDrafter {
  const next = new Map<string, number>();
  let learned = 0;
  let drafted = 0;
  let badInARow = 0;
  return { begin, draft, accept };

  function begin(text: readonly number[], size: number): void {
    learned = drafted = 0;
    if (size >= match) learn(text, size);
  }

  function learn(text: readonly number[], end: number): void {
    for (; learned < end - match; learned += 1)
      next.set(text.slice(learned, learned + match).join(), text[learned + match] ?? 0);
  }

  function draft(text: readonly number[], last: number): number[] {
    drafted = 0;
    if (last < match) return [];
    if (learned + chunk < last) learn(text, last);
    const words = text.slice(last - match + 1, last + 1);
    for (let index = 0; index < nMax; index += 1) {
      const token = next.get(words.slice(index).join());
      if (token === undefined) {
        if (index < nMin) return [];
        break;
      }
      words.push(token);
    }
    drafted = words.length - match;
    return words.slice(match);
  }

  function accept(count: number): void {
    if (drafted === 0) return;
    badInARow = count / drafted < bad.share ? badInARow + 1 : 0;
    if (badInARow < bad.most) return;
    next.clear();
    badInARow = learned = 0;
  }
}

interface Stretches {
  readonly place: number;
  readonly other: number;
  readonly size: number;
}

export function isSame(text: readonly number[], { place, other, size }: Stretches): boolean {
  for (let index = 0; index < size; index += 1) if (text[place + index] !== text[other + index]) return false;
  return true;
}
