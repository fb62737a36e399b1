import type { ExitName } from "../base/exit-codes.ts";
import type { Fix } from "../base/fix.ts";
import type { DraftingSpeedup, DraftingStatus } from "../control/messages.ts";

/** Raised with every change of {@link Launch}, or of what one of its values means. */
export const launchVersion = 2;

/**
 * Everything the supervisor needs to run one server: plain data, printable, sendable over the control socket. The
 * supervisor knows nothing about models; what it must know about the server's protocol comes as a {@link
 * ServerProtocol}.
 */
export interface Launch {
  /**
   * Version of this shape, see {@link launchVersion}: a new command line may send a launch to a supervisor that has run
   * for months.
   */
  readonly version: number;
  /** Name of the profile. */
  readonly name: string;
  /** Which {@link ServerProtocol} the server speaks. */
  readonly protocol: "llama-server" | "rpc-worker";
  /** Profiles that were ready before this one was started, and that are stopped after it. */
  readonly dependsOn: readonly string[];
  /** Absolute path of the program. */
  readonly file: string;
  readonly args: readonly string[];
  /** The whole environment of the child; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Address on which the server will listen. With port 0 the server picks a port and logs it. */
  readonly host: string;
  readonly port: number;
  /**
   * Absolute path of a unix socket on which the server listens in place of an address. `host` is then the loopback
   * address, for our own metrics.
   */
  readonly socketPath?: string;
  /** Port for Prometheus on the same host; 0 for none. */
  readonly metricsPort: number;
  /** File with API keys, one a line, for our own requests; undefined when none is needed. */
  readonly apiKeyFile?: string;
  /** Files the child reads while loading; their sizes in bytes give the progress of a load. */
  readonly files: readonly { readonly path: string; readonly sizeBytes: number }[];
  /** RPC workers on other machines, as `host:port`. */
  readonly rpcWorkers: readonly string[];
  readonly proof: WantedProof;
  /** What is known about the server without the proved feature; absent where nothing is known. */
  readonly costs?: StepCosts;
  /** What is run in place of a server whose proved feature costs more than it brings; absent: that is only told. */
  readonly fallback?: Pick<Launch, "args" | "files">;
  /** Whether to count generated and drafted tokens from the server's log. */
  readonly watchTraffic: boolean;
  /** A time limit of 0 is none. */
  readonly health: {
    readonly intervalMs: number;
    readonly timeoutMs: number;
    readonly failures: number;
    readonly stallTimeoutMs: number;
    readonly hangTimeoutMs: number;
    readonly proofTimeoutMs: number;
  };
  readonly restart: {
    readonly policy: "on-failure" | "never";
    readonly maxFailures: number;
    readonly windowMs: number;
    readonly backoffMs: number;
    readonly backoffMaxMs: number;
  };
  readonly stopTimeoutMs: number;
  /** What happens to the server when its supervisor dies. The next supervisor adopts a server that is kept. */
  readonly orphan: "kill" | "keep";
  readonly log: { readonly maxBytes: number; readonly keep: number };
  /** For people: the build's version line. */
  readonly build: string;
  /** The YAML file it was made from, absolute. */
  readonly profilePath: string;
  /** Changes exactly when a restart is needed to take up an edited profile. */
  readonly hash: string;
}

/**
 * Whether a proof request is wanted once the server answers, and what to do when it fails; else why none is. Only the
 * {@link ServerProtocol} knows what is proved.
 */
export type WantedProof =
  | { readonly wanted: true; readonly onFailure: "serve" | "fail" }
  | { readonly wanted: false; readonly reason: string };

/** What was measured of one model with its build, devices and settings; times are milliseconds. */
export interface StepCosts {
  /** Time a token without the proved feature, at some lengths of the context, in any order; at least one. */
  readonly stepMs: readonly { readonly contextTokens: number; readonly ms: number }[];
  /** Entry `k - 1` is a batch of `k` tokens of the target model; null where it was not measured. */
  readonly targetMs: readonly number[] | null;
  /** The same of the draft model; null where there is none, or it was not measured. */
  readonly draftMs: readonly number[] | null;
  /** Whether the draft evaluates every checked batch again. */
  readonly reevaluates: boolean;
}

/** Address at which a running server answers. */
export type Endpoint = { readonly host: string; readonly port: number } | { readonly socketPath: string };

/** A log line of a loading server that the supervisor acts on. */
export type LoadLine =
  | { readonly says: "listening"; readonly endpoint: Endpoint }
  /** The server is healthy now or within milliseconds. */
  | { readonly says: "loaded" }
  /** The server logs a health check, which we send all the time. */
  | { readonly says: "asked" };

/** Result of one health check. */
export type Health = "ready" | "loading" | "unreachable" | "timeout" | "error";

/** Result of the proof request. Rates are in tokens per second. */
export interface Proof {
  /** Number of requests that the proof took. The server logs them like requests of clients. */
  readonly requests: number;
  readonly verdict: ProofVerdict;
  readonly tokensPerSecond: number;
  /** Speed of the same server without the proved feature; undefined when it is not known. */
  readonly baselineTokensPerSecond: number | undefined;
}

/** Whether the server does what its profile asks for (`on`), or why not, in the shape of its status. */
type ProofVerdict = Exclude<DraftingStatus, { readonly state: "unproven" }>;

/** Texts for people about the proof. */
export interface ProofTexts {
  /** Completes "server is up on …, ". */
  readonly asking: string;
  /** What is known about the proof, as the end of "ready on …": `drafting on, 71 of 92 tokens accepted`. */
  readonly describe: (status: DraftingStatus) => string;
  /** The cause with which a server is stopped whose launch says that a failed proof is a failure. */
  readonly explainFailure: (reason: string) => ExitCause;
  /** Who asks for a restart with the fallback, in words. */
  readonly fallbackAsker: string;
  /** Why a server runs as its fallback: the reason of a launch that wants no proof. */
  readonly explainFallback: (loss: string, at: Date) => string;
}

/** Judges one run of a server by its log, for as long as it serves. */
export interface RunJudge {
  /** Takes the result of the proof, before any line. */
  readonly noteProof: (proof: Proof) => void;
  /**
   * Reads the next line of the log.
   * @param isOwn The line tells about a request of our own.
   * @returns whether the line tells about a request.
   */
  readonly read: (line: string, isOwn: boolean) => boolean;
  /** Number of requests that have begun, by the log, and not ended. */
  readonly running: number;
  readonly judgement: RunJudgement;
}

export interface RunJudgement {
  /** Undefined while too little is known. */
  readonly speedup: DraftingSpeedup | undefined;
  /** Faults for people. A text does not change while it is there. */
  readonly warnings: readonly string[];
  /** Why the server would do better as its fallback; undefined unless it surely would. */
  readonly loss: string | undefined;
}

/** Whether a server still computes; `unknown` when it was not asked, did not answer in time, or is gone. */
export type Examination =
  | { readonly result: "well" | "unknown" }
  | {
      readonly result: "broken";
      /** The server's answer, for people. */
      readonly reason: string;
    };

/** Generated and drafted tokens, counted from one or many lines of a server's log. */
export interface TokenTraffic {
  /** Tokens generated after the first one of each answer. */
  readonly tokens: number;
  /** Time spent generating them. */
  readonly seconds: number;
  readonly draftTokens: number;
  readonly acceptedTokens: number;
  /** Steps of the target model that checked a draft; 0 on builds that do not log it. */
  readonly drafts: number;
  /** Tokens yielded by those steps, including the target's own. */
  readonly acceptedLengths: number;
}

/** Why a server ended, for people and for the restart policy. */
export interface ExitCause {
  /**
   * Stable, kebab-case: `bad-flag`, `model-missing`, `model-corrupt`, `port-in-use`, `out-of-memory`, `killed`,
   * `crashed`, …
   */
  readonly kind: string;
  readonly message: string;
  readonly fix?: Fix;
  /** A permanent cause is never retried, except as described for `mayCome`. */
  readonly permanent: boolean;
  /**
   * The cause is outside the server and may go away by itself: an address, a mount, a file or a driver is not available
   * yet, or another process has the port. The supervisor waits for it when nobody watches the start, and when the
   * server has been ready before.
   */
  readonly mayCome?: true;
  /** Name of the exit code of `up` when the server never got ready for this cause. */
  readonly exit: ExitName;
}

/** How a server ended unexpectedly. Code and signal of an adopted server are unknown. */
export interface ServerExit {
  /** The profile's name. */
  readonly name: string;
  readonly code: number | null;
  readonly signal: string | null;
  /** The last lines that it logged in this run. */
  readonly lastLines: readonly string[];
  /** Out-of-memory kills since the server was started: in our cgroup if the kernel counts them, else on the machine. */
  readonly oomKills: number;
  /** Whether it had answered a health check before. */
  readonly wasReady: boolean;
}

/** What the supervisor must know about the server that it runs. `llama/server/` has the real ones. */
export interface ServerProtocol {
  /**
   * Checks before each start whether everything besides program and models is available: API keys, workers on other
   * machines.
   * @returns the cause if not.
   */
  readonly checkNeeds: (launch: Launch) => Promise<ExitCause | undefined>;
  /** Checks once whether the server can take a request. Never throws for an answer of the server. */
  readonly checkHealth: (endpoint: Endpoint, timeoutMs: number, signal: AbortSignal) => Promise<Health>;
  /** Parses one log line of a loading server; undefined for most lines. */
  readonly parseLoadLine: (line: string) => LoadLine | undefined;
  /** Parses the log line of a request that has ended; undefined for any other line. */
  readonly parseTraffic: (line: string) => TokenTraffic | undefined;
  /** Sends the proof request and judges the answer. @throws when the request fails or times out. */
  readonly prove: (launch: Launch, endpoint: Endpoint, signal: AbortSignal) => Promise<Proof>;
  readonly proofTexts: ProofTexts;
  /** A judge of a new run; undefined where nothing is to be judged. */
  readonly judgeRun: (launch: Launch) => RunJudge | undefined;
  /**
   * Probes the server's main loop, which the health check does not reach. Resolves when the loop has answered, when the
   * server is gone, or at once when the probe would wake a sleeping model or keep it awake. Never rejects.
   */
  readonly askMainLoop: (launch: Launch, endpoint: Endpoint, signal: AbortSignal) => Promise<void>;
  /**
   * Asks a ready server for a few tokens after a suspend, which may have cost it its GPU. The request waits its turn
   * behind clients. A server that sleeps or generates no text is not asked. Never rejects.
   */
  readonly examine: (launch: Launch, endpoint: Endpoint, signal: AbortSignal) => Promise<Examination>;
  /** Whether the server has unfinished requests; false when it cannot be asked. Never throws. */
  readonly isBusy: (launch: Launch, endpoint: Endpoint, signal: AbortSignal) => Promise<boolean>;
  /** The server's own Prometheus text; undefined when it has none, may sleep, or is gone. Never rejects. */
  readonly readMetrics: (launch: Launch, endpoint: Endpoint, signal: AbortSignal) => Promise<string | undefined>;
  /** Explains an unexpected exit from its code or signal and the last lines of its log. */
  readonly explainExit: (exit: ServerExit) => ExitCause;
}
