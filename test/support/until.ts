import { setTimeout as delay } from "node:timers/promises";

/** Long enough that only a condition that never becomes true fails. */
const limitMs = 50_000;
const lookEveryMs = 10;

/**
 * Repeats a check until it succeeds, for conditions without an event, such as the end of a process that is not our
 * child.
 * @returns what the check returned, as soon as it is neither `undefined` nor `false`. @throws after 50 s, with `what`.
 */
export async function until<T>(what: string, check: () => T | Promise<T>): Promise<Exclude<T, undefined | false>> {
  for (const endMs = performance.now() + limitMs; performance.now() < endMs; await delay(lookEveryMs)) {
    const found = await check();
    if (found !== undefined && found !== false) return found as Exclude<T, undefined | false>;
  }
  throw new Error(`waited ${limitMs / 1000} s in vain until ${what}`);
}
