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
import { type ExitName, exitCodes } from "../base/exit-codes.ts";
import type { CommandFix, Fix } from "../base/fix.ts";

/** What a supervisor is doing. `supervisor/design.md` has the table of transitions. */
export type StateName = (typeof stateNames)[number];

export const stateNames = [
  "stopped",
  "preflight",
  "starting",
  "loading",
  "proving",
  "ready",
  "unhealthy",
  "stopping",
  "killing",
  "backoff",
  "failed",
  "stuck",
] as const;

/**
 * Whether the running server drafts. Counts are tokens of the proof request; the acceptance rate is `acceptedTokens /
 * draftTokens`.
 */
export type DraftingStatus =
  | { readonly state: "off"; readonly reason: string }
  | { readonly state: "unproven" }
  | { readonly state: "on"; readonly draftTokens: number; readonly acceptedTokens: number };

/** What a server has generated and drafted over some span. Rates are null where there was nothing to divide by. */
export interface TrafficStatus {
  /** Tokens that clients were given. */
  readonly tokens: number;
  readonly draftTokens: number;
  readonly acceptedTokens: number;
  /** Accepted / drafted, 0..1. */
  readonly acceptanceRate: number | null;
  /** While generating; waiting and prompt processing do not count. */
  readonly tokensPerSecond: number | null;
  /** Tokens that one drafted step of the target model yielded, its own included; null on builds that do not say. */
  readonly meanAcceptedLength: number | null;
}

/** How far a load is: an estimate that never goes back. */
export interface LoadProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** How the last server ended, when nobody asked for it. */
export interface LastExit {
  readonly kind: string;
  readonly message: string;
  /** What to do: words, or a command of ours as data. */
  readonly fix: Fix | null;
  /** ISO 8601. */
  readonly time: string;
}

/**
 * The answer to `status`, the content of `state.json`, and one entry of `ps --json`. Stable: keys are only ever added.
 */
export interface Status {
  /** Version of this shape. */
  readonly version: 1;
  readonly name: string;
  readonly state: StateName;
  /** When it entered this state, ISO 8601. */
  readonly since: string;
  /** Base URL while a server listens, else null. */
  readonly url: string | null;
  /** Process id of the server, null while there is none. */
  readonly pid: number | null;
  readonly supervisorPid: number;
  /** Version of llmctl that the supervisor is of; absent in the words of a supervisor from before this key. */
  readonly llmctl?: string;
  /** Version of the launches that it takes; absent likewise. */
  readonly launchVersion?: number;
  readonly drafting: DraftingStatus;
  /** Generation speed of the proof request in tokens per second, null before it. */
  readonly tokensPerSecond: number | null;
  /** The same without drafting, measured right after it; null where that was not measured. */
  readonly baselineTokensPerSecond: number | null;
  /** Requests of clients to the present server, as its log tells them; null where the profile turns this off. */
  readonly traffic: { readonly sinceStart: TrafficStatus; readonly lastTenMinutes: TrafficStatus } | null;
  /** From spawn to the first healthy answer, milliseconds; null before it. */
  readonly loadMs: number | null;
  /** While it loads, where that can be told; else null. */
  readonly load: LoadProgress | null;
  /** How often a server was started since `up`. */
  readonly runs: number;
  /** How many of those starts followed an unexpected exit. */
  readonly restarts: number;
  /** The same by the kind of that exit. */
  readonly restartsByCause: Readonly<Record<string, number>>;
  /** When the present server was started, ISO 8601; null while there is none. */
  readonly startedAt: string | null;
  readonly lastExit: LastExit | null;
  /** What a start is put off for, in `backoff`; else null. Absent in the words of a supervisor from before this key. */
  readonly waitingFor?: Omit<LastExit, "time"> | null;
  /** Milliseconds until the next start; null unless in `backoff`. */
  readonly retryInMs: number | null;
  readonly build: string;
  /** What the server was, or would now be, started with; absent in the words of a supervisor from before this key. */
  readonly command?: { readonly file: string; readonly args: readonly string[] };
  readonly profile: string;
  /** Names of the profiles that it depends on. */
  readonly dependsOn: readonly string[];
  /** Identifies the configuration that runs. */
  readonly hash: string;
  readonly log: string;
  /** Things a person should know that stop nothing, such as a state file that cannot be written. */
  readonly warnings: readonly string[];
}

/** One line of `GET /events`: the status after a change, and what changed in words. */
export interface StatusEvent {
  readonly time: string;
  /** Since the supervisor started. */
  readonly elapsedMs: number;
  readonly message: string;
  /** Kind of the cause, where the server's end or the supervisor's own decision led here. */
  readonly cause: string | null;
  /** No change: a load has gone on. Not kept in the log. */
  readonly isProgress?: true;
  readonly status: Status;
  /** How the supervisor ends; only on its last event. */
  readonly end?: { readonly exit: string; readonly code: number };
}

/** The body of an answer that is not 2xx. A supervisor of an older version gives only the message. */
export interface Refusal {
  readonly message: string;
  readonly code?: string;
  readonly exit?: ExitName;
  readonly fix?: Fix;
}

/*
 * What a supervisor answers, and what a state file says, may be another user's words, those of another version, or half
 * of what was written. It is checked before anyone relies on its shape.
 */

/** Fixes name a second and a third command; more than this is no fix of ours. */
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

/** A URL of HTTP, or of a unix socket, which is no URL by the standard. */
const isUrl: Check = (value) =>
  typeof value === "string" &&
  (value.startsWith("unix:///") || (/^(?:http|tcp):\/\//.test(value) && URL.canParse(value)));

const cause = { kind: isText, message: isText, fix: isNullOr(isFix) };

/** The answer to `status`, and what a state file holds. */
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

/** One line of the events. */
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
