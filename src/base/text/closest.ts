import { closest, distance } from "fastest-levenshtein";

/**
 * The known word that was probably meant, or undefined when none is near (more than a third of its letters differ). The
 * same letters in another order are near.
 */
export function findClosest(word: string, all: readonly string[]): string | undefined {
  // Word and list may come from others and have any length, and the comparison takes quadratic time. Nobody mistypes a
  // name that long.
  const known = word.length > longestWord ? [] : all.slice(0, mostKnown).filter((one) => isOfLength(one, word.length));
  if (known.length === 0) return undefined;
  const letters = sortLetters(word);
  const jumbled = known.find((one) => one.length === word.length && sortLetters(one) === letters);
  if (jumbled !== undefined) return jumbled;
  const best = closest(word, known);
  return distance(word, best) <= Math.max(1, Math.floor(best.length / 3)) ? best : undefined;
}

const longestWord = 300;
const mostKnown = 5000;

/** A name whose length differs by more than a third of its letters is never near. */
function isOfLength(one: string, length: number): boolean {
  return Math.abs(one.length - length) <= Math.max(1, Math.floor(one.length / 3));
}

function sortLetters(word: string): string {
  return word.split("").toSorted().join("");
}
