import { closest, distance } from "fastest-levenshtein";

/** The known word that was probably meant, or undefined when none is near (more than a third of its letters differ). */
export function findClosest(word: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const best = closest(word, known);
  return distance(word, best) <= Math.max(1, Math.floor(best.length / 3)) ? best : undefined;
}
