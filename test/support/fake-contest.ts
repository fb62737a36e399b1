import type { BenchPrompt } from "../../src/bench/bench-prompt.ts";
import type { FailedRequest, Measurement, Round } from "../../src/bench/measurement.ts";
import type { Contest, RoundKeeper } from "../../src/bench/rounds/run-rounds.ts";

/** A prompt of a test; its number is in its id. */
function makePrompt(number: number): BenchPrompt {
  const text = `prompt ${number}`;
  return {
    id: `p${number}`,
    kind: "own",
    excerpt: text,
    path: "/v1/chat/completions",
    body: { messages: [{ role: "user", content: text }] },
  };
}

export function makePrompts(count: number): BenchPrompt[] {
  return Array.from({ length: count }, (_, index) => makePrompt(index));
}

/** 100 tokens in the given time. */
export function makeMeasurement(generateMs: number, more: Partial<Measurement> = {}): Measurement {
  return {
    tokens: 100,
    generateMs,
    cpuMs: generateMs,
    promptTokens: 10,
    firstTokenMs: 5,
    draftTokens: 0,
    acceptedTokens: 0,
    ...more,
  };
}

/** Servers of given speeds. Whoever is asked, and renewed, is noted in order. */
export class FakeContest implements Contest {
  readonly calls: string[] = [];
  readonly #msOf: (label: string, prompt: BenchPrompt) => Measurement | FailedRequest;
  waitShare: number | null = 0;

  constructor(msOf: (label: string, prompt: BenchPrompt) => Measurement | FailedRequest) {
    this.#msOf = msOf;
  }

  async ask(label: string, prompts: readonly BenchPrompt[], signal: AbortSignal) {
    signal.throwIfAborted();
    this.calls.push(`${label}: ${prompts.map(({ id }) => id).join(" ")}`);
    return prompts.map((prompt) => this.#msOf(label, prompt));
  }

  async renew(label: string): Promise<void> {
    this.calls.push(`renew ${label}`);
  }

  readWaitShare(): number | null {
    return this.waitShare;
  }
}

/** Rounds in memory. */
export class FakeKeeper implements RoundKeeper {
  readonly rounds: Round[];
  readonly #values = new Map<string, unknown>();

  constructor(rounds: readonly Round[] = []) {
    this.rounds = [...rounds];
  }

  async add(round: Round): Promise<void> {
    this.rounds.push(round);
  }

  get<T>(name: string, isOurs: (value: unknown) => value is T): T | undefined {
    const value = this.#values.get(name);
    return isOurs(value) ? value : undefined;
  }

  async put(name: string, value: unknown): Promise<void> {
    this.#values.set(name, structuredClone(value));
  }
}
