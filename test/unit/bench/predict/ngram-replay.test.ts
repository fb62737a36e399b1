import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ngramMod, ngramSimple } from "../../../../src/bench/predict/ngram-drafters.ts";
import { type NgramSetting, predictNgram, replayNgram } from "../../../../src/bench/predict/ngram-replay.ts";

/** Token ids of a text of single letters. */
const ids = (letters: string) => [...new TextEncoder().encode(letters)];
const letters = (tokens: readonly number[]) => String.fromCharCode(...tokens);

const words = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 60 });
const text = fc.record({ prompt: words, answer: words }).map((its) => ({ ...its, room: its.answer.length }));

describe("ngram-simple", () => {
  const draft = (history: string, sizeN: number, sizeM: number) =>
    letters(ngramSimple({ sizeN, sizeM }).draft(ids(history), history.length - 1));

  test.each([
    // The text ends in "bc", and "defgh" followed it before.
    ["abcdefghijkbc", 2, 5, "defgh"],
    // The last such place counts.
    ["abcd..bcef..bc", 2, 2, "ef"],
    // The draft ends before the last sampled token.
    [".....abxabyab", 2, 4, "ya"],
    // One of fewer than size_n tokens is none.
    ["........ababa", 3, 4, ""],
    // The first token of a text is not looked at.
    ["ab......ab", 2, 2, ""],
    // Text of no more than size_n + size_m + 1 tokens is too short.
    [".abcdab", 2, 3, ""],
    ["..abcdab", 2, 3, "cda"],
    ["abcdefghijklm", 2, 5, ""],
  ])("after %s with n %i and m %i drafts %s", (history, sizeN, sizeM, expected) => {
    expect(draft(history, sizeN, sizeM)).toBe(expected);
  });
});

describe("ngram-mod", () => {
  const long = "the quick brown fox jumps over the lazy dog";
  const setting = { match: 4, nMin: 2, nMax: 6 };

  test("drafts what followed in an earlier prompt", () => {
    const drafter = ngramMod(setting);
    drafter.begin(ids(long), long.length);
    const next = ids("a brow");
    drafter.begin(next, next.length - 1);
    expect(letters(drafter.draft(next, next.length - 1))).toBe("n fox ");
  });

  test("drafts nothing where fewer than n_min tokens are known", () => {
    expect(letters(ngramModKnowing("abcdefg", 3).draft(ids("..bcde"), 5))).toBe("");
    expect(letters(ngramModKnowing("abcdefg", 2).draft(ids("..bcde"), 5))).toBe("fg");
    expect(letters(ngramModKnowing("abcdefgh", 3).draft(ids("..bcde"), 5))).toBe("fgh");
  });

  test("learns from an answer in pieces of more than 32 tokens", () => {
    const drafter = ngramMod(setting);
    const answer = ids(`${"=".repeat(8)}abcdefgh${".".repeat(20)}abcd`);
    drafter.begin(answer, 4);
    // Places 0 to 36 are the 37th token's text: not yet.
    expect(drafter.draft(answer, 32)).toEqual([]);
    expect(letters(drafter.draft(answer, answer.length - 1))).toBe("efgh..");
  });

  test("forgets everything after five bad drafts in a row", () => {
    const drafter = ngramModKnowing(long, 2);
    const history = ids("a brow");
    for (let round = 0; round < 5; round += 1) {
      expect(drafter.draft(history, 5)).not.toEqual([]);
      drafter.accept(round === 2 ? 6 : 1);
    }
    for (let round = 0; round < 3; round += 1) {
      expect(drafter.draft(history, 5)).not.toEqual([]);
      drafter.accept(0);
    }
    expect(drafter.draft(history, 5)).toEqual([]);
  });

  function ngramModKnowing(known: string, nMin: number) {
    const drafter = ngramMod({ ...setting, nMin });
    drafter.begin(ids(known), known.length);
    return drafter;
  }
});

describe("the steps of an answer", () => {
  const settings: readonly NgramSetting[] = [
    { type: "ngram-simple", sizeN: 2, sizeM: 4 },
    { type: "ngram-mod", match: 2, nMin: 1, nMax: 4 },
    { type: "ngram-map-k", sizeN: 2, sizeM: 4 },
    { type: "ngram-cache" },
  ];

  test("cover it exactly once, whatever is drafted", () => {
    fc.assert(
      fc.property(fc.array(text, { maxLength: 3 }), fc.constantFrom(...settings), (texts, setting) => {
        const steps = replayNgram(texts, setting);
        const covered = steps.map((cycles) => cycles.reduce((sum, { tokens }) => sum + tokens, 0));
        expect(covered).toEqual(texts.map(({ answer }) => answer.length - 1));
        for (const { drafted, accepted } of steps.flat()) expect(accepted).toBeLessThanOrEqual(drafted);
      }),
    );
  });

  test("that copy from earlier places are never fewer than the bound of such types", () => {
    fc.assert(
      fc.property(text, (one) => {
        const [simple, , bound] = settings.map((setting) => replayNgram([one], setting).flat().length);
        expect(bound).toBeLessThanOrEqual(simple ?? 0);
      }),
    );
  });

  test("are those of a copied prompt", () => {
    const prompt = ids("....the quick brown fox jumps");
    const answer = ids("the quick brown fox");
    const steps = replayNgram([{ prompt, answer, room: 19 }], { type: "ngram-simple", sizeN: 3, sizeM: 8 });
    const one = { drafted: 0, accepted: 0, evaluations: 0, tokens: 1, unknown: 0 };
    const eight = { drafted: 8, accepted: 8, evaluations: 0, tokens: 9, unknown: 0 };
    // Three letters have to be there before a draft, and the last one is limited by the end of the answer.
    expect(steps).toEqual([[one, one, eight, { ...eight, drafted: 6, accepted: 6, tokens: 7 }]]);
  });
});

describe("the predicted speedup of an n-gram type", () => {
  const copied = {
    prompt: ids("....the quick brown fox jumps"),
    answer: ids("the quick brown fox"),
    room: 19,
  };
  const target = [10, 11, 12, 13, 14, 15, 16, 17, 18];

  test("counts what a checked batch costs, and no draft model", () => {
    const prediction = predictNgram([copied], { type: "ngram-simple", sizeN: 3, sizeM: 8 }, target);
    expect(prediction?.ratio).toBeCloseTo((18 * 10) / (10 + 10 + 18 + 16), 12);
    expect(prediction?.isBound).toBe(false);
  });

  test("is a bound for types with more rules", () => {
    const bound = predictNgram([copied], { type: "ngram-map-k4v", sizeN: 3, sizeM: 8 }, target);
    expect(bound).toMatchObject({ isBound: true, ratio: 180 / 54 });
    expect(predictNgram([copied], { type: "ngram-cache" }, target)?.ratio).toBeGreaterThan(2);
  });

  test("is 1 where nothing repeats, and unknown without texts or costs", () => {
    const unique = { prompt: ids("abc"), answer: ids("defghi"), room: 6 };
    for (const type of ["ngram-cache", "ngram-map-k"] as const)
      expect(predictNgram([unique], { type, sizeN: 2, sizeM: 4 }, target)?.ratio).toBe(1);
    expect(predictNgram([], { type: "ngram-cache" }, target)).toBeUndefined();
    expect(predictNgram([unique], { type: "ngram-cache" }, [])).toBeUndefined();
  });
});
