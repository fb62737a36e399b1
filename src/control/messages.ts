import type { ExitName } from "../base/exit-codes.ts";
import type { Fix } from "../base/fix.ts";

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
  /** The same without drafting, measured right after it; null when it was not measured. */
  readonly baselineTokensPerSecond: number | null;
  /** Requests of clients to the present server, counted from its log; null when the profile turns this off. */
  readonly traffic: { readonly sinceStart: TrafficStatus; readonly lastTenMinutes: TrafficStatus } | null;
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
export interface Refusal {
  readonly message: string;
  readonly code?: string;
  readonly exit?: ExitName;
  readonly fix?: Fix;
}
