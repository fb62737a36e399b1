import { LlmctlError } from "../../base/errors.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import type { FailedRequest, Measurement } from "../measurement.ts";
import type { Contest } from "../rounds/run-rounds.ts";

/** A server of ours, as far as a contest uses it. */
export interface ContestServer {
  readonly ask: (
    prompts: readonly BenchPrompt[],
    signal: AbortSignal,
  ) => Promise<readonly (Measurement | FailedRequest)[]>;
  /** Whether its process has ended by itself. */
  readonly hasDied: () => boolean;
  /** Time for which its threads were ready to run and had no processor; null where the system does not tell. */
  readonly readWaitMs: () => number | null;
  readonly readCpuMs: () => number | null;
  readonly stop: () => Promise<void>;
}

interface ContestOptions<Server> {
  /** Starts a server and waits until it is ready. @throws LlmctlError where it cannot be started. */
  readonly start: (label: string, signal: AbortSignal) => Promise<Server>;
  /** Number of servers that may run at the same time. */
  readonly capacity: number;
  /** Told of each death of a server. */
  readonly onDeath?: (label: string) => void;
}

/** A server that dies that often in a row, without an answer in between, does so with every prompt. */
const mostDeaths = 3;

/** The servers of a comparison: each is started when it is first asked, and stopped when another needs its place. */
export class ServerContest<Server extends ContestServer = ContestServer> implements Contest, AsyncDisposable {
  readonly #options: ContestOptions<Server>;
  /** Number of servers that may run at the same time. */
  capacity: number;
  /** By label; the one that was asked last is the last. */
  readonly #servers = new Map<string, Server>();
  readonly #deaths = new Map<string, number>();
  #seen = new Map<ContestServer, Times>();
  /** Number of servers that were started. */
  loads = 0;

  constructor(options: ContestOptions<Server>) {
    this.#options = options;
    this.capacity = options.capacity;
  }

  async ask(
    label: string,
    prompts: readonly BenchPrompt[],
    signal: AbortSignal,
  ): Promise<readonly (Measurement | FailedRequest)[]> {
    const server = await this.server(label, signal);
    const results = await server.ask(prompts, signal);
    if (!server.hasDied()) {
      this.#deaths.delete(label);
      return results;
    }
    this.#options.onDeath?.(label);
    await this.renew(label);
    const deaths = (this.#deaths.get(label) ?? 0) + 1;
    this.#deaths.set(label, deaths);
    if (deaths >= mostDeaths) throw keepsDying(label, results);
    return results;
  }

  /** The running server of a contestant, started where there is none. @throws LlmctlError where it cannot be. */
  async server(label: string, signal: AbortSignal): Promise<Server> {
    const running = this.#servers.get(label);
    if (running !== undefined && !running.hasDied()) {
      this.#servers.delete(label);
      this.#servers.set(label, running);
      return running;
    }
    if (running !== undefined) await this.renew(label);
    for (const oldest of this.#servers.keys()) {
      if (this.#servers.size < this.capacity) break;
      await this.renew(oldest);
    }
    const server = await this.#options.start(label, signal);
    this.loads += 1;
    this.#servers.set(label, server);
    return server;
  }

  /** The running server of a contestant; undefined where there is none. */
  find(label: string): Server | undefined {
    return this.#servers.get(label);
  }

  async renew(label: string): Promise<void> {
    const server = this.#servers.get(label);
    this.#servers.delete(label);
    await server?.stop();
  }

  readWaitShare(): number | null {
    const now = new Map([...this.#servers.values()].map((server) => [server, readTimes(server)] as const));
    const before = this.#seen;
    this.#seen = new Map(
      [...now].flatMap(([server, times]) => (times === undefined ? [] : [[server, times] as const])),
    );
    let waitMs = 0;
    let cpuMs = 0;
    for (const [server, times] of now) {
      if (times === undefined) return null;
      waitMs += times.waitMs - (before.get(server)?.waitMs ?? 0);
      cpuMs += times.cpuMs - (before.get(server)?.cpuMs ?? 0);
    }
    return waitMs + cpuMs === 0 ? null : waitMs / (waitMs + cpuMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const label of this.#servers.keys()) await this.renew(label);
  }
}

/** Processor time, and time spent waiting for a processor, since the server started. */
interface Times {
  readonly waitMs: number;
  readonly cpuMs: number;
}

function readTimes(server: ContestServer): Times | undefined {
  const waitMs = server.readWaitMs();
  const cpuMs = server.readCpuMs();
  return waitMs === null || cpuMs === null ? undefined : { waitMs, cpuMs };
}

function keepsDying(label: string, results: readonly (Measurement | FailedRequest)[]): LlmctlError {
  const last = results.find((result) => "error" in result);
  return new LlmctlError("bench-server-died", `the server "${label}" dies again and again`, {
    exit: "failed",
    ...(last === undefined ? {} : { at: last.error }),
    fix: "what was measured before is kept; see the server's log",
  });
}
