import { systemClock } from "../base/clock.ts";
import { llmctlVersion } from "../base/version.ts";
import type { DraftingStatus, LastExit, LoadProgress, Status } from "../control/messages.ts";
import { formatUrl } from "./child/endpoint.ts";
import {
  type Endpoint,
  type ExitCause,
  type RunJudgement,
  type Launch,
  launchVersion,
  type TokenTraffic,
} from "./launch.ts";
import type { State } from "./machine-types.ts";
import type { ProofResult } from "./child/server-run.ts";
import { TrafficMeter } from "./child/traffic-meter.ts";

/** The part of a launch that the status shows. */
export type ShownLaunch = Pick<
  Launch,
  "name" | "protocol" | "dependsOn" | "file" | "args" | "watchTraffic" | "proof" | "build" | "profilePath" | "hash"
>;

/** Collects everything that the status shows besides the machine's state, and builds the status. */
export class StatusBoard {
  readonly warnings = new Set<string>();
  endpoint: Endpoint | undefined;
  /** Time from spawn to the first healthy answer. */
  loadMs: number | null = null;
  load: LoadProgress | null = null;
  runs = 0;
  /** Of the traffic of the present run. */
  judgement: Pick<RunJudgement, "speedup" | "warnings"> = unjudged;
  #proof: DraftingStatus = { state: "unproven" };
  #tokensPerSecond: number | null = null;
  #baselineTokensPerSecond: number | null = null;
  #traffic = new TrafficMeter();
  #lastExit: LastExit | null = null;
  #since = new Date();
  #startedAt: Date | null = null;
  #restarts = 0;
  readonly #restartsByCause: Record<string, number> = {};
  #retryAtMs = 0;
  readonly #nowMs: () => number;

  /** @param nowMs The monotonic clock. */
  constructor(nowMs = systemClock.nowMs) {
    this.#nowMs = nowMs;
  }

  /** Forgets the previous run. */
  startRun(launch: Pick<Launch, "proof">): void {
    this.endpoint = undefined;
    this.loadMs = null;
    this.#startedAt = null;
    this.load = null;
    this.#tokensPerSecond = null;
    this.#baselineTokensPerSecond = null;
    this.#traffic = new TrafficMeter();
    this.judgement = unjudged;
    this.#proof = launch.proof.wanted ? { state: "unproven" } : { state: "off", reason: launch.proof.reason };
  }

  noteSpawn(): void {
    this.#startedAt = new Date();
  }

  /** Counts a start that follows an unexpected exit. */
  noteRestart(): void {
    this.#restarts += 1;
    const cause = this.#lastExit?.kind ?? "unknown";
    this.#restartsByCause[cause] = (this.#restartsByCause[cause] ?? 0) + 1;
  }

  /** @param retryInMs Remaining time of a backoff. */
  enter(state: State, retryInMs = 0): void {
    this.#since = new Date();
    if (state.name !== "loading") this.load = null;
    if (state.name === "backoff") this.#retryAtMs = this.#nowMs() + retryInMs;
    if ("cause" in state && state.cause !== undefined) this.noteExit(state.cause);
  }

  noteExit({ kind, message, fix }: ExitCause): void {
    this.#lastExit = { kind, message, fix: fix ?? null, time: new Date().toISOString() };
  }

  noteProof(result: Exclude<ProofResult, { readonly kind: "unwanted" }>): void {
    const { proof } = result;
    this.#tokensPerSecond = proof?.tokensPerSecond ?? null;
    this.#baselineTokensPerSecond = proof?.baselineTokensPerSecond ?? null;
    this.#proof = result.kind === "failed" ? { state: "off", reason: result.reason } : result.proof.verdict;
  }

  noteTraffic(traffic: TokenTraffic): void {
    this.#traffic.add(traffic, this.#nowMs());
  }

  read(state: State, launch: ShownLaunch, where: { readonly pid: number | null; readonly log: string }): Status {
    return {
      version: 1,
      name: launch.name,
      state: state.name,
      since: this.#since.toISOString(),
      url:
        this.endpoint === undefined
          ? null
          : formatUrl(this.endpoint, launch.protocol === "rpc-worker" ? "tcp" : "http"),
      pid: where.pid,
      supervisorPid: process.pid,
      llmctl: llmctlVersion,
      launchVersion,
      drafting: this.#proof,
      tokensPerSecond: this.#tokensPerSecond,
      baselineTokensPerSecond: this.#baselineTokensPerSecond,
      traffic: launch.watchTraffic
        ? { sinceStart: this.#traffic.sinceStart(), lastTenMinutes: this.#traffic.lastTenMinutes(this.#nowMs()) }
        : null,
      draftingSpeedup: this.judgement.speedup ?? null,
      loadMs: this.loadMs,
      load: this.load,
      runs: this.runs,
      restarts: this.#restarts,
      restartsByCause: { ...this.#restartsByCause },
      startedAt: this.#startedAt?.toISOString() ?? null,
      lastExit: this.#lastExit,
      waitingFor: state.name === "backoff" ? describeWait(state.waitingFor) : null,
      retryInMs: state.name === "backoff" ? Math.max(0, Math.round(this.#retryAtMs - this.#nowMs())) : null,
      build: launch.build,
      command: { file: launch.file, args: launch.args },
      profile: launch.profilePath,
      dependsOn: launch.dependsOn,
      hash: launch.hash,
      log: where.log,
      warnings: [...this.warnings, ...this.judgement.warnings],
    };
  }
}

const unjudged: StatusBoard["judgement"] = { speedup: undefined, warnings: [] };

function describeWait(cause: ExitCause | undefined): Omit<LastExit, "time"> | null {
  return cause === undefined ? null : { kind: cause.kind, message: cause.message, fix: cause.fix ?? null };
}
