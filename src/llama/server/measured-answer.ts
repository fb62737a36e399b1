import { type Clock, systemClock } from "../../base/clock.ts";
import { LlmctlError } from "../../base/errors.ts";
import { isMap } from "../../base/text/check-shape.ts";
import { formatUrl } from "../../supervisor/child/endpoint.ts";
import type { Endpoint } from "../../supervisor/launch.ts";
import { readChatPieces } from "./chat-stream.ts";
import { type BrokenAnswer, streamEvents } from "./event-stream.ts";

/** One answer of a llama-server, with the server's own clock. Times are milliseconds. */
export interface MeasuredAnswer {
  /** What the model wrote, its reasoning included, in the order of arrival. */
  readonly text: string;
  /** `stop`, `length`, `tool_calls`; of `/completion` `eos`, `limit` or `word`. Null when the server named none. */
  readonly finishReason: string | null;
  /** Tokens of the prompt that were computed, and the time for them. */
  readonly promptTokens: number;
  readonly promptMs: number;
  /** Generated tokens: reasoning, calls of tools and the end token included. */
  readonly tokens: number;
  /** Time to generate them without the first one, which comes with the prompt. */
  readonly generateMs: number;
  readonly draftTokens: number;
  readonly acceptedTokens: number;
  /** From the request to the first token at the client, waiting in the server's queue included. */
  readonly firstTokenMs: number;
}

export interface MeasuredRequest {
  readonly endpoint: Endpoint;
  readonly apiKey?: string | undefined;
  readonly path: "/v1/chat/completions" | "/completion";
  /** The request; what a measurement sets itself is set last. */
  readonly body: Readonly<Record<string, unknown>>;
  /** Whether the server may use what is left of the request before; else it computes the whole prompt. */
  readonly usesCache?: boolean;
  /** The only limit of time. */
  readonly signal: AbortSignal;
  readonly onFirstToken?: () => void;
  readonly clock?: Pick<Clock, "nowMs">;
}

/** The key of a request that limits the tokens of its answer. */
export const limitKeys = { "/v1/chat/completions": "max_tokens", "/completion": "n_predict" } as const;

/** Any fixed number makes sampling repeatable; a negative one asks for another each time. */
const defaultSeed = 42;

/**
 * Sends one streaming request and measures its answer.
 * @throws LlmctlError `prompt-too-long` for a prompt longer than the context; `answer-cut-off` when the connection
 *   breaks; `answer-failed` for every other refusal, and for what does not come from llama-server; an `AbortError` when
 *   the signal is aborted.
 * @see llama.cpp tools/server/README.md, `timings`
 */
export async function measureAnswer(asked: MeasuredRequest): Promise<MeasuredAnswer> {
  const { endpoint, apiKey, path, signal, onFirstToken, clock = systemClock } = asked;
  const fail = (broken: BrokenAnswer) => answerFailed(endpoint, broken);
  const startedMs = clock.nowMs();
  const pieces: string[] = [];
  let firstTokenMs: number | undefined;
  let finishReason: string | null = null;
  let timings: unknown;
  const { seed: own } = asked.body;
  const seed = typeof own === "number" && own >= 0 ? own : defaultSeed;
  const body = { ...asked.body, stream: true, cache_prompt: asked.usesCache ?? false, seed };
  for await (const event of streamEvents({ endpoint, path, apiKey, body, signal, isLast, fail })) {
    // The first event, which has no text in a chat, is sent with the first token.
    if (firstTokenMs === undefined) {
      firstTokenMs = clock.nowMs() - startedMs;
      onFirstToken?.();
    }
    pieces.push(...readTexts(event));
    finishReason = readFinishReason(event) ?? finishReason;
    timings = event["timings"] ?? timings;
  }
  const counts = readTimings(timings);
  if (counts === undefined || firstTokenMs === undefined) throw fail({ why: "it sent no timings" });
  return { text: pieces.join(""), finishReason, ...counts, firstTokenMs };
}

/** `/completion` sends no `[DONE]`. */
function isLast({ stop }: Readonly<Record<string, unknown>>): boolean {
  return stop === true;
}

function* readTexts(event: Readonly<Record<string, unknown>>): Generator<string> {
  const { content } = event;
  if (typeof content === "string") yield content;
  else for (const { text } of readChatPieces(event)) yield text;
}

function readFinishReason({ choices, stop_type: stopType }: Readonly<Record<string, unknown>>): string | undefined {
  const choice: unknown = Array.isArray(choices) ? choices[0] : undefined;
  const reason = isMap(choice) ? choice["finish_reason"] : stopType;
  return typeof reason === "string" ? reason : undefined;
}

/** @returns undefined for an answer without timings, as of another server. */
function readTimings(timings: unknown): Omit<MeasuredAnswer, "text" | "finishReason" | "firstTokenMs"> | undefined {
  if (!isMap(timings)) return undefined;
  const [promptTokens, promptMs, tokens, generateMs] = [
    readAmount(timings["prompt_n"]),
    readAmount(timings["prompt_ms"]),
    readAmount(timings["predicted_n"]),
    readAmount(timings["predicted_ms"]),
  ];
  if (promptTokens === undefined || promptMs === undefined || tokens === undefined || generateMs === undefined)
    return undefined;
  return {
    promptTokens,
    promptMs,
    tokens,
    generateMs,
    // Both are absent when nothing was drafted.
    draftTokens: readAmount(timings["draft_n"]) ?? 0,
    acceptedTokens: readAmount(timings["draft_n_accepted"]) ?? 0,
  };
}

function readAmount(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? value : undefined;
}

/** The error of an answer that is not complete: `prompt-too-long`, `answer-cut-off` or `answer-failed`. */
export function answerFailed(endpoint: Endpoint, { why, type, isCut = false, cause }: BrokenAnswer): LlmctlError {
  const at = formatUrl(endpoint, "http");
  if (type === "exceed_context_size_error")
    return new LlmctlError("prompt-too-long", `the prompt is longer than the context: ${why}`, {
      exit: "failed",
      at,
      fix: "raise ctx_size of the profile, or leave out this prompt",
      cause,
    });
  return new LlmctlError(isCut ? "answer-cut-off" : "answer-failed", `the server gave no complete answer: ${why}`, {
    exit: "unavailable",
    at,
    cause,
  });
}
