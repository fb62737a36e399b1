/** A failure that may pass by itself: a reset, a stall, an overloaded server. */
export class TransientError extends Error {
  override readonly name = "TransientError";
  /** What the server asked for with `Retry-After`. */
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
  /** A figure that grows with progress; a new height of it makes the count of failures start again. */
  readonly progress?: () => number;
}

const maxRetries = 5;
const firstDelayMs = 1000;
/** The Hub counts requests in windows of five minutes; a server that asks for more is asked again after this. */
const longestDelayMs = 10 * 60_000;

/**
 * Runs an attempt until it succeeds, at most 5 more times after failures in a row that may pass by themselves; delays
 * double from 1 s.
 * @throws the last TransientError, or at once anything else.
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

/** Connections tend to fail together: what one has said the others do not say again while it waits. */
export function sayOnce(
  onRetry: RetryRule["onRetry"],
  now: () => number = () => performance.now(),
): RetryRule["onRetry"] {
  const saidUntilMs = new Map<string, number>();
  return (reason, delayMs) => {
    const nowMs = now();
    if (nowMs < (saidUntilMs.get(reason) ?? nowMs)) return;
    saidUntilMs.set(reason, nowMs + delayMs);
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
