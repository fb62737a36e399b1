import { closest, distance } from "fastest-levenshtein";

/**
 * The known word that was probably meant, or undefined when none is near (more than a third of its letters differ). The same letters in
 * another order are near.
 */
export function findClosest(word: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const jumbled = known.find((one) => sortLetters(one) === sortLetters(word));
  if (jumbled !== undefined) return jumbled;
  const best = closest(word, known);
  return distance(word, best) <= Math.max(1, Math.floor(best.length / 3)) ? best : undefined;
}

function sortLetters(word: string): string {
  return word.split("").toSorted().join("");
}
