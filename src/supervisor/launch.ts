import type { ExitName } from "../base/exit-codes.ts";
import type { Fix } from "../base/fix.ts";
import type { DraftingStatus, TrafficStatus } from "../control/messages.ts";

/** Raised with every change of {@link Launch}, or of what one of its values means. */
export const launchVersion = 2;

/**
 * Everything the supervisor needs to run one server: plain data, printable, sendable over the control socket. The
 * supervisor knows nothing about models; what it must know about the server's protocol comes as a {@link
 * ServerProtocol}.
 */
export interface Launch {
  /**
   * Of this shape: a launch crosses versions, from a new command line to a supervisor that has run for months. See
   * {@link launchVersion}.
   */
  readonly version: number;
  /** Name of the profile. */
  readonly name: string;
  /** How to talk to it. */
  readonly protocol: "llama-server" | "rpc-worker";
  /** Profiles that were ready before this one was started, and that are stopped after it. */
  readonly dependsOn: readonly string[];
  /** Absolute path of the program. */
  readonly file: string;
  readonly args: readonly string[];
  /** The whole environment of the child; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Where the server will listen; port 0: the server picks one and its log says which. */
  readonly host: string;
  readonly port: number;
  /**
   * The unix socket that the server listens on in place of an address, absolute; `host` is the loopback then, for our
   * own metrics.
   */
  readonly socketPath?: string;
  /** Where Prometheus may ask, on the same host; 0: nowhere. */
  readonly metricsPort: number;
  /** File with API keys, one a line, for our own requests; undefined when none is needed. */
  readonly apiKeyFile?: string;
  /** Files the child reads while loading; their sizes in bytes give the progress of a load. */
  readonly files: readonly { readonly path: string; readonly sizeBytes: number }[];
  /** Workers on other machines that it computes with, as `host:port`. */
  readonly rpcWorkers: readonly string[];
  readonly proof: WantedProof;
  /** Whether to read from the server's log what it generates and drafts. */
  readonly watchTraffic: boolean;
  readonly health: {
    readonly intervalMs: number;
    readonly timeoutMs: number;
    readonly failures: number;
    readonly stallTimeoutMs: number;
    /** 0: a hang never leads to a restart. */
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
  /** What becomes of the server when its supervisor dies; a server that is kept is adopted by the next supervisor. */
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

/** Where a running server answers. */
export type Endpoint = { readonly host: string; readonly port: number } | { readonly socketPath: string };

/** What a server says in its log while it loads. */
export type LoadLine =
  | { readonly says: "listening"; readonly endpoint: Endpoint }
  /** It will be healthy in an instant, or is. */
  | { readonly says: "loaded" }
  /** It was asked for its health, as we do all the time. */
  | { readonly says: "asked" };

/** What one probe of a server's health found. */
export type Health = "ready" | "loading" | "unreachable" | "timeout" | "error";

/** What the proof request found. Rates are in tokens per second. */
export interface Proof {
  /** Requests that it took; the server logs them as it logs those of clients. */
  readonly requests: number;
  readonly verdict: ProofVerdict;
  readonly tokensPerSecond: number;
  /** Speed of the same server without what is proved; undefined when it could not be measured. */
  readonly baselineTokensPerSecond: number | undefined;
}

/** Whether the server does what was to be proved (`on`), in the shape that its status has; else why not. */
type ProofVerdict = Exclude<DraftingStatus, { readonly state: "unproven" }>;

/** What people are told about the proof. */
export interface ProofTexts {
  /** Completes "server is up on …, ". */
  readonly asking: string;
  /** What is known about the proof, as the end of "ready on …": `drafting on, 71 of 92 tokens accepted`. */
  readonly describe: (status: DraftingStatus) => string;
  /** The cause with which a server is stopped whose launch says that a failed proof is a failure. */
  readonly explainFailure: (reason: string) => ExitCause;
  /**
   * Judges the traffic of a server whose proof has succeeded.
   * @returns a warning; the same text for the same fault.
   */
  readonly findFault: (lastTenMinutes: TrafficStatus, baselineTokensPerSecond: number | null) => string | undefined;
}

/** Whether a server still computes; `unknown` where it was not asked, did not answer in time, or is gone. */
export type Examination =
  | { readonly result: "well" | "unknown" }
  | {
      readonly result: "broken";
      /** What it answered, for people. */
      readonly reason: string;
    };

/** What one line of a server's log, or many, say about generated and drafted tokens. */
export interface TokenTraffic {
  /** Generated after the first one of each answer. */
  readonly tokens: number;
  /** Spent generating them. */
  readonly seconds: number;
  readonly draftTokens: number;
  readonly acceptedTokens: number;
  /** Steps of the target model that checked a draft; 0 on builds that do not say. */
  readonly drafts: number;
  /** Tokens that those steps yielded, their own included. */
  readonly acceptedLengths: number;
}

/** Why a server is gone, for people and for the restart policy. */
export interface ExitCause {
  /**
   * Stable, kebab-case: `bad-flag`, `model-missing`, `model-corrupt`, `port-in-use`, `out-of-memory`, `killed`,
   * `crashed`, …
   */
  readonly kind: string;
  readonly message: string;
  readonly fix?: Fix;
  /** A permanent cause is never retried, unless it may come. */
  readonly permanent: boolean;
  /**
   * Something outside of the server (an address, a mount, a file, a driver, whoever has the port) is not there yet and
   * may come by itself. Where nobody watches the start, and after the server has been ready, it is waited for.
   */
  readonly mayCome?: true;
  /** Name of the exit code that `up` ends with when this is why the server never got ready. */
  readonly exit: ExitName;
}

/** How a server ended without being asked to; of one that was adopted neither code nor signal is known. */
export interface ServerExit {
  /** The profile's name. */
  readonly name: string;
  readonly code: number | null;
  readonly signal: string | null;
  /** The end of what it logged in this run. */
  readonly lastLines: readonly string[];
  /**
   * Processes that the kernel has ended for want of memory since the server was started: of our cgroup where it tells,
   * else of the machine.
   */
  readonly oomKills: number;
  /** Whether it had answered a health check before. */
  readonly wasReady: boolean;
}

/** What the supervisor must be told about the server that it runs; `llama/server-protocol.ts` has the real one. */
export interface ServerProtocol {
  /**
   * Asks before each start whether what the server needs beside its program and models is there: its keys, workers of
   * other machines.
   * @returns why not.
   */
  readonly checkNeeds: (launch: Launch) => Promise<ExitCause | undefined>;
  /** Asks once whether the server can take a request. Never throws for an answer of the server. */
  readonly checkHealth: (endpoint: Endpoint, timeoutMs: number, signal: AbortSignal) => Promise<Health>;
  /** What one line of its log says while it loads; undefined for most. */
  readonly parseLoadLine: (line: string) => LoadLine | undefined;
  /** What a line of the log says about a request that has ended; undefined for any other line. */
  readonly parseTraffic: (line: string) => TokenTraffic | undefined;
  /** Sends the proof request and judges the answer. @throws when the request fails or times out. */
  readonly prove: (launch: Launch, endpoint: Endpoint, signal: AbortSignal) => Promise<Proof>;
  readonly proofTexts: ProofTexts;
  /**
   * Asks the server's main loop, which the health check does not reach. Ends when it has answered, when the server is
   * gone, or at once where the question would wake a sleeping model or keep it awake. Never rejects.
   */
  readonly askMainLoop: (launch: Launch, endpoint: Endpoint, signal: AbortSignal) => Promise<void>;
  /**
   * Asks a server that was ready for a few tokens, since the machine's sleep may have cost it its GPU. Waits its turn
   * behind clients. Nothing is asked of one that sleeps, or that generates no text. Never rejects.
   */
  readonly examine: (launch: Launch, endpoint: Endpoint, signal: AbortSignal) => Promise<Examination>;
  /** Whether it has requests to finish; false when it cannot be asked. Never throws. */
  readonly isBusy: (launch: Launch, endpoint: Endpoint, signal: AbortSignal) => Promise<boolean>;
  /** What the server tells Prometheus; undefined where it does not tell, may sleep, or is gone. Never rejects. */
  readonly readMetrics: (launch: Launch, endpoint: Endpoint, signal: AbortSignal) => Promise<string | undefined>;
  /** Explains an exit that nobody asked for, from its code or signal and the last lines of its log. */
  readonly explainExit: (exit: ServerExit) => ExitCause;
}
