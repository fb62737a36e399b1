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

/** One answer as a file has it. */
export function isResult(value: unknown): value is Measurement | FailedRequest {
  return isMeasurement(value) || isFailed(value);
}

/** A round as a file has it: a report or a journal. */
export const isRound = isShape<Round>({
  promptId: isText,
  pass: isCount,
  order: isListOf(isText),
  results: isMapOf(isResult),
  waitShare: isNullOr(isShare),
  at: isText,
});
