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
 * Whether the running server drafts. The counts are tokens of the proof request; the acceptance rate is
 * `acceptedTokens / draftTokens`.
 */
export type DraftingStatus =
  | { readonly state: "off"; readonly reason: string }
  | { readonly state: "unproven" }
  | { readonly state: "on"; readonly draftTokens: number; readonly acceptedTokens: number };

/** Generated and drafted tokens over some time. Rates are null when there is nothing to divide by. */
export interface TrafficStatus {
  /** Tokens sent to clients. */
  readonly tokens: number;
  readonly draftTokens: number;
  readonly acceptedTokens: number;
  /** Accepted / drafted, 0..1. */
  readonly acceptanceRate: number | null;
  /** Generation speed; waiting and prompt processing do not count. */
  readonly tokensPerSecond: number | null;
  /** Tokens per drafted step of the target model, including its own; null on builds that do not log it. */
  readonly meanAcceptedLength: number | null;
}

/**
 * Speed of clients' requests with drafting over that without a draft, with its 95 % interval: below 1 drafting makes
 * the server slower. Requests that ran at the same time as others do not count.
 */
export interface DraftingSpeedup {
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
  /** Drafted tokens of the requests behind it, the newest ones. */
  readonly draftTokens: number;
  /** What has been confirmed; it does not follow each request, as the other values do. */
  readonly verdict: "pays" | "loses" | "unknown";
}

/** Progress of a load: an estimate that never goes back. */
export interface LoadProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** The last unexpected exit of a server. */
export interface LastExit {
  readonly kind: string;
  readonly message: string;
  /** What to do: text, or an llmctl command as data. */
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
  /** When the profile entered this state, ISO 8601. */
  readonly since: string;
  /** Base URL while a server listens, else null. */
  readonly url: string | null;
  /** Process id of the server, null while there is none. */
  readonly pid: number | null;
  readonly supervisorPid: number;
  /** Version of the supervisor's llmctl; absent from supervisors older than this key. */
  readonly llmctl?: string;
  /** Version of the launches that the supervisor accepts; absent from supervisors older than this key. */
  readonly launchVersion?: number;
  readonly drafting: DraftingStatus;
  /** Generation speed of the proof request in tokens per second, null before it. */
  readonly tokensPerSecond: number | null;
  /** The same without a draft, from `bench` or `tune`, or measured right after it; null where it is not known. */
  readonly baselineTokensPerSecond: number | null;
  /** Requests of clients to the present server, counted from its log; null when the profile turns this off. */
  readonly traffic: { readonly sinceStart: TrafficStatus; readonly lastTenMinutes: TrafficStatus } | null;
  /** Null while too little is known; absent from supervisors older than this key. */
  readonly draftingSpeedup?: DraftingSpeedup | null;
  /** From spawn to the first healthy answer, milliseconds; null before it. */
  readonly loadMs: number | null;
  /** Progress during a load, if it can be measured; else null. */
  readonly load: LoadProgress | null;
  /** Number of server starts since `up`. */
  readonly runs: number;
  /** Number of those starts that followed an unexpected exit. */
  readonly restarts: number;
  /** Restarts by the kind of that exit. */
  readonly restartsByCause: Readonly<Record<string, number>>;
  /** When the present server was started, ISO 8601; null while there is none. */
  readonly startedAt: string | null;
  readonly lastExit: LastExit | null;
  /** In `backoff`: the cause for which a start is postponed; else null. Absent from supervisors older than this key. */
  readonly waitingFor?: Omit<LastExit, "time"> | null;
  /** Milliseconds until the next start; null unless in `backoff`. */
  readonly retryInMs: number | null;
  readonly build: string;
  /** Command of the present or next start; absent from supervisors older than this key. */
  readonly command?: { readonly file: string; readonly args: readonly string[] };
  readonly profile: string;
  /** Names of the profiles that it depends on. */
  readonly dependsOn: readonly string[];
  /** Hash of the launch: identifies the running configuration. */
  readonly hash: string;
  readonly log: string;
  /** Problems that stop nothing, such as a state file that cannot be written. */
  readonly warnings: readonly string[];
}

/** One line of `GET /events`: a message, and the status after it. */
export interface StatusEvent {
  readonly time: string;
  /** Since the supervisor started. */
  readonly elapsedMs: number;
  readonly message: string;
  /** Kind of the cause, when the server's exit or the supervisor's own decision led here. */
  readonly cause: string | null;
  /** Only the progress of a load. Not written to the event log. */
  readonly isProgress?: true;
  readonly status: Status;
  /** How the supervisor ends; only on its last event. */
  readonly end?: { readonly exit: string; readonly code: number };
}

/** The body of an answer that is not 2xx. A supervisor of an older version gives only the message. */
export interface RefusalBody {
  readonly message: string;
  readonly code?: string;
  readonly exit?: ExitName;
  readonly fix?: Fix;
}

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
  draftingSpeedup: isOptional(
    isNullOr(
      isShape<DraftingSpeedup>({
        ratio: isNumber,
        low: isNumber,
        high: isNumber,
        draftTokens: isNumber,
        verdict: isOneOf("pays", "loses", "unknown"),
      }),
    ),
  ),
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

export const isRefusal = isShape<RefusalBody>({
  message: isText,
  code: isOptional(isText),
  exit: isOptional(isOneOf(...Object.keys(exitCodes))),
  fix: isOptional(isFix),
});
