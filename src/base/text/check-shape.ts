/*
 * Checks values that other processes have sent or left in files. They do not use zod, which would cost each supervisor
 * 13 MB of memory and each command the time to load it.
 */

export type Check = (value: unknown) => boolean;
/** One check per key; the compiler reports a missing one. */
export type Checks<T> = { readonly [Key in keyof Required<T>]: Check };

export const isText: Check = (value) => typeof value === "string";
/** Finite and not negative. */
export const isNumber: Check = (value) => typeof value === "number" && Number.isFinite(value) && value >= 0;
export const isBoolean: Check = (value) => typeof value === "boolean";
export const isPort: Check = (value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 65535;
/** A positive whole number, as a process id is. */
export const isPid: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 1;

export function isOneOf(...words: readonly unknown[]): Check {
  return (value) => words.includes(value);
}

export function isListOf(check: Check): Check {
  return (value) => Array.isArray(value) && value.every(check);
}

export function isMapOf(check: Check): Check {
  return (value) => isMap(value) && Object.values(value).every(check);
}

export function isOptional(check: Check): Check {
  return (value) => value === undefined || check(value);
}

export function isNullOr(check: Check): Check {
  return (value) => value === null || check(value);
}

export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isShape<T>(checks: Checks<T>): (value: unknown) => value is T {
  return (value): value is T => isMap(value) && findWrong(value, checks) === undefined;
}

/** The first key whose value fails its check. */
export function findWrong(
  value: Readonly<Record<string, unknown>>,
  checks: Readonly<Record<string, Check>>,
): string | undefined {
  return Object.keys(checks).find((key) => checks[key]?.(value[key]) === false);
}
