import type { TrafficStatus } from "../../control/messages.ts";
import type { TokenTraffic } from "../launch.ts";

const spanMs = 10 * 60_000;
const bucketMs = 10_000;

/**
 * Sums generated and drafted tokens since the server's start and over the last ten minutes, with a resolution of ten
 * seconds. Keeps some 60 small records.
 */
export class TrafficMeter {
  #total: TokenTraffic = nothing;
  #buckets: { readonly startMs: number; sum: TokenTraffic }[] = [];

  /** @param nowMs Monotonic clock, the same for all calls. */
  add(traffic: TokenTraffic, nowMs: number): void {
    this.#total = plus(this.#total, traffic);
    const last = this.#buckets.at(-1);
    if (last !== undefined && nowMs - last.startMs < bucketMs) last.sum = plus(last.sum, traffic);
    else this.#buckets.push({ startMs: nowMs, sum: traffic });
    this.#dropOld(nowMs);
  }

  sinceStart(): TrafficStatus {
    return summarize(this.#total);
  }

  lastTenMinutes(nowMs: number): TrafficStatus {
    this.#dropOld(nowMs);
    return summarize(this.#buckets.reduce((sum, bucket) => plus(sum, bucket.sum), nothing));
  }

  #dropOld(nowMs: number): void {
    this.#buckets = this.#buckets.filter(({ startMs }) => nowMs - startMs < spanMs);
  }
}

const nothing: TokenTraffic = {
  tokens: 0,
  seconds: 0,
  draftTokens: 0,
  acceptedTokens: 0,
  acceptedLengths: 0,
  drafts: 0,
};

function plus(a: TokenTraffic, b: TokenTraffic): TokenTraffic {
  return {
    tokens: a.tokens + b.tokens,
    seconds: a.seconds + b.seconds,
    draftTokens: a.draftTokens + b.draftTokens,
    acceptedTokens: a.acceptedTokens + b.acceptedTokens,
    acceptedLengths: a.acceptedLengths + b.acceptedLengths,
    drafts: a.drafts + b.drafts,
  };
}

function summarize({
  tokens,
  seconds,
  draftTokens,
  acceptedTokens,
  acceptedLengths,
  drafts,
}: TokenTraffic): TrafficStatus {
  return {
    tokens,
    draftTokens,
    acceptedTokens,
    acceptanceRate: draftTokens === 0 ? null : acceptedTokens / draftTokens,
    tokensPerSecond: seconds === 0 ? null : tokens / seconds,
    meanAcceptedLength: drafts === 0 ? null : acceptedLengths / drafts,
  };
}
