import { type Check, isListOf, isMapOf, isNullOr, isNumber, isShape, isText } from "../base/text/check-shape.ts";
import type { FailedRequest, Measurement, Round } from "./measurement.ts";

/** 0..1. */
export const isShare: Check = (value) => isNumber(value) && Number(value) <= 1;
export const isCount: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0;

const isMeasurement = isShape<Measurement>({
  tokens: isCount,
  generateMs: isNumber,
  cpuMs: isNullOr(isNumber),
  promptTokens: isCount,
  firstTokenMs: isNumber,
  draftTokens: isCount,
  acceptedTokens: isCount,
});
const isFailed = isShape<FailedRequest>({ error: isText });

const isResult: Check = (value) => isMeasurement(value) || isFailed(value);

/** Results by prompt. */
export function isResults(value: unknown): value is Readonly<Record<string, Measurement | FailedRequest>> {
  return isMapOf(isResult)(value);
}

/** A round as a file has it: a report or a journal. */
export const isRound = isShape<Round>({
  promptId: isText,
  pass: isCount,
  order: isListOf(isText),
  results: isResults,
  waitShare: isNullOr(isShare),
  at: isText,
});
