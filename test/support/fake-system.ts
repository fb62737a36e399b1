import { appendFileSync } from "node:fs";
import { basename } from "node:path";
import type { System } from "../../src/supervisor/child/system.ts";
import { llamaServerProtocol } from "../../src/llama/server/server-protocol.ts";
import type { Examination, Health, Proof, ServerProtocol } from "../../src/supervisor/launch.ts";
import { FakeClock } from "./fake-clock.ts";
import { FakeProcesses } from "./fake-processes.ts";

/** A machine for the supervisor's loop: time, processes and watched files are a test's, and it tells what is done. */
export class FakeSystem implements System {
  readonly clock = new FakeClock();
  readonly processes: FakeProcesses;
  /** How long the machine has been suspended so far. */
  suspendedMs = 0;
  readonly #watched = new Map<string, Set<() => void>>();

  readonly #tell: (text: string) => void;

  constructor(tell: (text: string) => void = () => undefined) {
    this.#tell = tell;
    this.processes = new FakeProcesses(this.clock, tell);
  }

  /** In the middle: no jitter. */
  readonly random = (): number => 0.5;

  readonly sinceBootMs = (): number => this.clock.nowMs() + this.suspendedMs;

  readonly watchFile = (path: string, onChange: () => void): { close: () => void } => {
    const watchers = this.#watched.get(path) ?? new Set();
    this.#watched.set(path, watchers.add(onChange));
    this.#tell(`watch ${basename(path)}`);
    return { close: () => void watchers.delete(onChange) };
  };

  readonly removeStaleSocket = async (path: string): Promise<void> => {
    this.#tell(`remove a stale ${path}`);
  };

  /** Number of callers that still watch a file. */
  get watchers(): number {
    return [...this.#watched.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** Appends to a file, and tells those who watch it. */
  append(path: string, text: string): void {
    appendFileSync(path, text);
    for (const onChange of this.#watched.get(path) ?? []) onChange();
  }
}

/** How the fake server answers; a test changes it at any time. */
export interface Answers {
  /** `silent`: it never answers, and the time limit of the check ends it. */
  health: Health | "silent";
  healthMs: number;
  /** Its main loop is stuck. */
  isWedged: boolean;
  /** How many requests run. */
  busy: number;
  proof: Proof | Error | "never";
  examination: Examination | Promise<Examination> | "never";
  metrics: string | undefined;
}

export const goodProof: Proof = {
  requests: 6,
  verdict: { state: "on", draftTokens: 92, acceptedTokens: 71 },
  tokensPerSecond: 40,
  baselineTokensPerSecond: 20,
};

export function goodAnswers(): Answers {
  return {
    health: "ready",
    healthMs: 1,
    isWedged: false,
    busy: 0,
    proof: goodProof,
    examination: { result: "well" },
    metrics: "# metrics",
  };
}

/** llama-server's protocol, in which a test gives the answers. Tells which requests were sent and given up. */
export function scriptedProtocol(answers: Answers, clock: FakeClock, tell: (text: string) => void): ServerProtocol {
  const answer = async <T>(name: string, value: T | Promise<T> | Error | "never", signal: AbortSignal): Promise<T> => {
    tell(`asks for ${name}`);
    if (value === "never") await clock.sleep(2 ** 31, signal).finally(() => tell(`gives up asking for ${name}`));
    if (value instanceof Error) throw value;
    return value as T;
  };
  return {
    ...llamaServerProtocol,
    checkNeeds: async () => undefined,
    checkHealth: async (_, timeoutMs, signal) => {
      const { health } = answers;
      try {
        await clock.sleep(health === "silent" ? timeoutMs : answers.healthMs, signal);
      } catch {
        return "unreachable";
      }
      return health === "silent" ? "timeout" : health;
    },
    prove: (_, __, signal) => answer("a proof", answers.proof, signal),
    examine: (_, __, signal) =>
      answer("some tokens", answers.examination, signal).catch(() => ({ result: "unknown" }) as const),
    readMetrics: (_, __, signal) => answer("metrics", answers.metrics, signal),
    isBusy: async () => answers.busy > 0,
    askMainLoop: async (_, __, signal) => {
      if (answers.isWedged) await clock.sleep(2 ** 31, signal).catch(() => undefined);
    },
  };
}
