import { limitOf } from "../../base/clock.ts";
import { drain } from "./drain.ts";
import type { Endpoint, ExitCause, Examination, Launch, Proof, ServerProtocol } from "../launch.ts";
import { ServerMetrics } from "./server-metrics.ts";
import { killGroup, wake, type ProcessExit, type ServerProcess } from "./server-process.ts";
import type { ServerWatch } from "./server-watch.ts";
import type { System } from "./system.ts";

/** A killed process closes its sockets first, then frees its memory, and only then is reported as exited. */
const exitAfterHangUpMs = 2000;

/** A spawned or adopted server. */
export interface StartedServer {
  readonly server: ServerProcess;
  readonly startedMs: number;
  /** The system's count of out-of-memory kills before the start. */
  readonly oomKills: number;
}

interface RunOptions extends StartedServer {
  readonly launch: Launch;
  readonly protocol: ServerProtocol;
  readonly watch: ServerWatch;
  readonly system: System;
  /** The server's endpoint, as soon as it is known. */
  readonly endpoint: () => Endpoint | undefined;
}

/** Result of a proof request; `unwanted` when nobody waits for it any more, or the server's exit explains more. */
export type ProofResult =
  | { readonly kind: "proved"; readonly proof: Proof }
  | { readonly kind: "failed"; readonly reason: string; readonly proof?: Proof }
  | { readonly kind: "unwanted" };

/** One run of a server, spawned or adopted: sends it requests until it is gone. */
export class ServerRun {
  readonly server: ServerProcess;
  readonly watch: ServerWatch;
  readonly metrics: ServerMetrics;
  readonly #options: RunOptions;
  #asking = new AbortController();
  readonly #gone = new AbortController();

  constructor(options: RunOptions) {
    this.server = options.server;
    this.watch = options.watch;
    this.#options = options;
    this.metrics = new ServerMetrics(() => this.#askMetrics(), options.system.clock);
  }

  get sinceMs(): number {
    return Math.round(this.#options.system.clock.nowMs() - this.#options.startedMs);
  }

  async prove(): Promise<ProofResult> {
    const { launch, protocol, server, endpoint, system } = this.#options;
    const at = endpoint();
    if (at === undefined) return { kind: "unwanted" };
    const given = this.#asking.signal;
    try {
      const proof = await this.#withLimit((signal) => protocol.prove(launch, at, signal));
      this.watch.noteOwnRequests(proof.requests);
      return proof.verdict.state === "off"
        ? { kind: "failed", reason: proof.verdict.reason, proof }
        : { kind: "proved", proof };
    } catch (error) {
      // A dying server closes its connections before its exit is reported, and the exit explains more.
      const isGone = await Promise.race([
        server.exited.then(() => true),
        system.clock.sleep(exitAfterHangUpMs).then(() => false),
      ]);
      if (given.aborted || isGone) return { kind: "unwanted" };
      return {
        kind: "failed",
        reason: `the proof request failed: ${error instanceof Error ? error.message : String(error)}`,
      };
    }
  }

  /** Checks after a suspend of the machine whether the server still computes. */
  async examine(): Promise<Examination> {
    const { launch, protocol, endpoint } = this.#options;
    const at = endpoint();
    if (at === undefined) return { result: "unknown" };
    const examination = await this.#withLimit((signal) => protocol.examine(launch, at, signal));
    if (examination.result === "well") this.watch.noteOwnRequests(1);
    return examination;
  }

  /** Aborts our own requests: a server that is being stopped waits for its clients, and we are one of them. */
  giveUpAsking(): void {
    this.#asking.abort();
    this.#asking = new AbortController();
  }

  /** Passes a signal that is aborted by {@link giveUpAsking}, and when the time for a request is over. */
  async #withLimit<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { launch, system } = this.#options;
    const limit = new AbortController();
    const cancel = system.clock.setTimer(limitOf(launch.health.proofTimeoutMs), () => limit.abort());
    try {
      return await ask(AbortSignal.any([this.#asking.signal, limit.signal]));
    } finally {
      cancel();
    }
  }

  /** Waits until the server has no unfinished request, or is gone. */
  async drain(onWait: () => void): Promise<void> {
    const { server, endpoint, system } = this.#options;
    if (endpoint() === undefined) return;
    wake(server.pid, system.processes); // a process that is stopped (SIGSTOP) cannot answer
    await drain(() => this.isBusy(), onWait, { signal: this.#gone.signal, clock: system.clock });
  }

  /** Whether the server has unfinished requests; false when it cannot be asked. Never rejects. */
  async isBusy(): Promise<boolean> {
    const { launch, protocol, endpoint } = this.#options;
    const at = endpoint();
    return at !== undefined && protocol.isBusy(launch, at, this.#gone.signal);
  }

  /** Kills processes that the server has left behind. @throws as {@link killGroup}. */
  killRest(): void {
    killGroup(this.server.pid, this.#options.system.processes);
  }

  /** Explains the server's exit. */
  explainExit(
    exit: ProcessExit,
    { lastLines, wasReady }: { readonly lastLines: readonly string[]; readonly wasReady: boolean },
  ): ExitCause {
    const oomKills = (this.#options.system.processes.readOomKills() ?? 0) - this.#options.oomKills;
    const { launch, protocol } = this.#options;
    return protocol.explainExit({ ...exit, name: launch.name, lastLines, oomKills, wasReady });
  }

  /** Ends all requests and the watch. */
  end(): void {
    this.watch.stop();
    this.#asking.abort();
    this.#gone.abort();
  }

  async #askMetrics(): Promise<string | undefined> {
    const { launch, protocol, endpoint } = this.#options;
    const at = endpoint();
    return at === undefined ? undefined : protocol.readMetrics(launch, at, this.#gone.signal);
  }
}
