/** A failure that a retry may cure: a reset, a stall, an overloaded server. */
export class TransientError extends Error {
  override readonly name = "TransientError";
  /** The delay in the `Retry-After` header of the server. */
  readonly retryAfterMs: number;

  constructor(message: string, options: { retryAfterMs?: number | undefined; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.retryAfterMs = options.retryAfterMs ?? 0;
  }
}

export interface RetryRule {
  readonly signal: AbortSignal;
  /** Waits, or rejects with the signal's reason. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<unknown>;
  readonly onRetry: (reason: string, delayMs: number) => void;
  /** A number that grows with progress. When it has grown, the count of failures starts again. */
  readonly progress?: () => number;
}

const maxRetries = 5;
const firstDelayMs = 1000;
/** The Hub counts requests in windows of five minutes. A longer `Retry-After` is cut to this. */
const longestDelayMs = 10 * 60_000;

/**
 * Runs an attempt until it succeeds. It retries a TransientError up to 5 times in a row; the delay doubles from 1 s.
 * @throws the last TransientError; any other error at once.
 */
export async function withRetries<T>(attempt: () => Promise<T>, rule: RetryRule): Promise<T> {
  let progress = rule.progress?.() ?? 0;
  for (let failures = 0; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
      const now = rule.progress?.() ?? 0;
      if (now > progress) failures = 0;
      progress = Math.max(progress, now);
      if (failures === maxRetries) throw error;
      const delayMs = Math.min(Math.max(firstDelayMs * 2 ** failures, error.retryAfterMs), longestDelayMs);
      rule.onRetry(error.message, delayMs);
      await rule.wait(delayMs, rule.signal);
    }
  }
}

/** Connections tend to fail together. This reports a reason once, until the delay of its retry is over. */
export function reportOnce(
  onRetry: RetryRule["onRetry"],
  now: () => number = () => performance.now(),
): RetryRule["onRetry"] {
  const reportedUntilMs = new Map<string, number>();
  return (reason, delayMs) => {
    const nowMs = now();
    if (nowMs < (reportedUntilMs.get(reason) ?? nowMs)) return;
    reportedUntilMs.set(reason, nowMs + delayMs);
    onRetry(reason, delayMs);
  };
}

/**
 * Reads a `Retry-After` header: seconds, or a date.
 * @returns milliseconds from `nowMs`, never negative; undefined when unreadable.
 */
export function parseRetryAfter(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined;
  if (/^\d+$/.test(header.trim())) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}
