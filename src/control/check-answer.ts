import {
  type Check,
  isListOf,
  isMap,
  isMapOf,
  isNullOr,
  isNumber,
  isOneOf,
  isOptional,
  isPid,
  isShape,
  isText,
} from "../base/text/check-shape.ts";
import { exitCodes } from "../base/exit-codes.ts";
import type { CommandFix } from "../base/fix.ts";
import {
  type LastExit,
  type Refusal,
  type Status,
  type StatusEvent,
  stateNames,
  type TrafficStatus,
} from "./messages.ts";

/*
 * A supervisor's answer and a state file may come from another user or another version, or be incomplete. Their shape
 * is checked before anyone relies on it.
 */

/** Our fixes name up to three commands; a longer chain is not ours. */
const mostFixes = 8;

const isFix: Check = (value) => isFixWithin(value, mostFixes);

function isFixWithin(value: unknown, most: number): boolean {
  if (most === 0) return false;
  if (typeof value === "string") return true;
  const isNext = isOptional((next) => isMap(next) && isFixWithin(next, most - 1));
  return isShape<CommandFix>({
    run: isListOf(isText),
    before: isOptional(isText),
    after: isOptional(isText),
    andThen: isNext,
    or: isOptional((other) => isFixWithin(other, most - 1)),
  })(value);
}

const traffic = isShape<TrafficStatus>({
  tokens: isNumber,
  draftTokens: isNumber,
  acceptedTokens: isNumber,
  acceptanceRate: isNullOr(isNumber),
  tokensPerSecond: isNullOr(isNumber),
  meanAcceptedLength: isNullOr(isNumber),
});

const drafting: Check = (value) => {
  if (!isMap(value)) return false;
  if (value["state"] === "off") return isText(value["reason"]);
  return (
    value["state"] === "unproven" ||
    (value["state"] === "on" && isNumber(value["draftTokens"]) && isNumber(value["acceptedTokens"]))
  );
};

/** ISO 8601. */
const isTime: Check = (value) => typeof value === "string" && !Number.isNaN(Date.parse(value));

/** A URL of HTTP or TCP, or `unix:///path`, which is not a URL by the standard. */
const isUrl: Check = (value) =>
  typeof value === "string" &&
  (value.startsWith("unix:///") || (/^(?:http|tcp):\/\//.test(value) && URL.canParse(value)));

const cause = { kind: isText, message: isText, fix: isNullOr(isFix) };

/** The answer to `status`, and the status in a state file. */
export const isStatus = isShape<Status>({
  version: isOneOf(1),
  name: isText,
  state: isOneOf(...stateNames),
  since: isTime,
  url: isNullOr(isUrl),
  pid: isNullOr(isPid),
  supervisorPid: isNumber,
  llmctl: isOptional(isText),
  launchVersion: isOptional(isNumber),
  drafting,
  tokensPerSecond: isNullOr(isNumber),
  baselineTokensPerSecond: isNullOr(isNumber),
  traffic: isNullOr(isShape<NonNullable<Status["traffic"]>>({ sinceStart: traffic, lastTenMinutes: traffic })),
  loadMs: isNullOr(isNumber),
  load: isNullOr(isShape<NonNullable<Status["load"]>>({ doneBytes: isNumber, totalBytes: isNumber })),
  runs: isNumber,
  restarts: isNumber,
  restartsByCause: isMapOf(isNumber),
  startedAt: isNullOr(isTime),
  lastExit: isNullOr(isShape<LastExit>({ ...cause, time: isTime })),
  waitingFor: isOptional(isNullOr(isShape<NonNullable<Status["waitingFor"]>>(cause))),
  retryInMs: isNullOr(isNumber),
  build: isText,
  command: isOptional(isShape<NonNullable<Status["command"]>>({ file: isText, args: isListOf(isText) })),
  profile: isText,
  dependsOn: isListOf(isText),
  hash: isText,
  log: isText,
  warnings: isListOf(isText),
});

/** One line of `GET /events`. */
export const isEvent = isShape<StatusEvent>({
  time: isTime,
  elapsedMs: isNumber,
  message: isText,
  cause: isNullOr(isText),
  isProgress: isOptional(isOneOf(true)),
  status: isStatus,
  end: isOptional(
    isShape<NonNullable<StatusEvent["end"]>>({ exit: isOneOf(...Object.keys(exitCodes)), code: isNumber }),
  ),
});

export const isRefusal = isShape<Refusal>({
  message: isText,
  code: isOptional(isText),
  exit: isOptional(isOneOf(...Object.keys(exitCodes))),
  fix: isOptional(isFix),
});
