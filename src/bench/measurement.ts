/** One answer of one server, measured. Times are milliseconds. */
export interface Measurement {
  /** Tokens generated after the first one, which comes with the prompt. */
  readonly tokens: number;
  /** Time to generate them, by the server's own clock. */
  readonly generateMs: number;
  /** Processor time that the server used meanwhile; null where the system does not tell, or requests overlapped. */
  readonly cpuMs: number | null;
  /** Tokens of the prompt that were computed. */
  readonly promptTokens: number;
  /** From the request to the first token, waiting in the server's queue included. */
  readonly firstTokenMs: number;
  readonly draftTokens: number;
  readonly acceptedTokens: number;
}

/** A request that gave no measurement; the run goes on with the others. */
export interface FailedRequest {
  /** For people. */
  readonly error: string;
}

/**
 * One prompt, asked of each server once, one right after the other. A round is kept whole or not at all, so every kept
 * pair of measurements was made at the same time.
 */
export interface Round {
  /** Of {@link BenchPrompt}. */
  readonly promptId: string;
  /** Number of this round among those of its prompt, from 0. */
  readonly pass: number;
  /** Labels of the settings, in the order in which they were asked. */
  readonly order: readonly string[];
  /** By label. */
  readonly results: Readonly<Record<string, Measurement | FailedRequest>>;
  /** Share of the time for which the servers waited for a processor, 0..1; null where the system does not tell. */
  readonly waitShare: number | null;
  /** ISO 8601. */
  readonly at: string;
}

export function isMeasured(result: Measurement | FailedRequest | undefined): result is Measurement {
  return result !== undefined && !("error" in result);
}

/** Which time counts: what a person waits for, or the server's processor time, which other programs hardly change. */
export type Timing = "wall" | "cpu";

/** Milliseconds a token; undefined when it was not measured. */
export function msPerToken({ tokens, generateMs, cpuMs }: Measurement, timing: Timing): number | undefined {
  const ms = timing === "wall" ? generateMs : cpuMs;
  return ms === null || ms <= 0 || tokens < 1 ? undefined : ms / tokens;
}
