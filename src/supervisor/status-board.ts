import type { DraftingStatus, LastExit, Status } from "../control/messages.ts";
import type { Endpoint, ExitCause, Launch, Proof } from "./launch.ts";
import type { State } from "./machine.ts";

/** What a supervisor knows beyond the state of its machine, and how it is told to others. */
export class StatusBoard {
  readonly warnings = new Set<string>();
  endpoint: Endpoint | undefined;
  drafting: DraftingStatus = { state: "unproven" };
  /** From spawn to the first healthy answer. */
  loadMs: number | null = null;
  runs = 0;
  restarts = 0;
  #tokensPerSecond: number | null = null;
  #lastExit: LastExit | null = null;
  #since = new Date();
  #retryAtMs = 0;

  /** A new run knows nothing of the one before it. */
  startRun(launch: Launch): void {
    this.endpoint = undefined;
    this.loadMs = null;
    this.#tokensPerSecond = null;
    this.drafting = launch.drafting.wanted ? { state: "unproven" } : { state: "off", reason: launch.drafting.reason };
  }

  enter(state: State): void {
    this.#since = new Date();
    if (state.name === "backoff") this.#retryAtMs = performance.now() + state.delayMs;
    if ("cause" in state && state.cause !== undefined) this.noteExit(state.cause);
  }

  noteExit({ kind, message, fix }: ExitCause): void {
    this.#lastExit = { kind, message, fix: fix ?? null, time: new Date().toISOString() };
  }

  noteProof({ draftTokens, acceptedTokens, tokensPerSecond }: Proof): void {
    this.#tokensPerSecond = tokensPerSecond;
    if (draftTokens > 0) this.drafting = { state: "on", draftTokens, acceptedTokens };
  }

  read(state: State, launch: Launch, where: { readonly pid: number | null; readonly log: string }): Status {
    return {
      version: 1,
      name: launch.name,
      state: state.name,
      since: this.#since.toISOString(),
      url: this.endpoint === undefined ? null : `http://${bracketed(this.endpoint.host)}:${this.endpoint.port}`,
      pid: where.pid,
      supervisorPid: process.pid,
      drafting: this.drafting,
      tokensPerSecond: this.#tokensPerSecond,
      loadMs: this.loadMs,
      runs: this.runs,
      restarts: this.restarts,
      lastExit: this.#lastExit,
      retryInMs: state.name === "backoff" ? Math.max(0, Math.round(this.#retryAtMs - performance.now())) : null,
      build: launch.build,
      profile: launch.profilePath,
      hash: launch.hash,
      log: where.log,
      warnings: [...this.warnings],
    };
  }
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
