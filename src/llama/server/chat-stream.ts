import { LlmctlError } from "../../base/errors.ts";
import { isMap } from "../../base/text/check-shape.ts";
import { parseUrl } from "../../supervisor/child/endpoint.ts";
import { type BrokenAnswer, streamEvents } from "./event-stream.ts";

export interface ChatMessage {
  readonly role: "user" | "assistant";
  readonly content: string;
}

/** A part of an answer, in the order of arrival. */
export interface ChatPiece {
  readonly kind: "thought" | "text";
  readonly text: string;
}

interface ChatRequest {
  /** The URL of a llama-server, from its status. */
  readonly url: string;
  readonly apiKey: string | undefined;
  readonly messages: readonly ChatMessage[];
  readonly signal: AbortSignal;
}

/**
 * Asks a running server for the next message of a chat.
 * @throws LlmctlError `chat-failed` with the server's own words; an `AbortError` when the signal is aborted.
 */
export async function* streamChat({ url, apiKey, messages, signal }: ChatRequest): AsyncGenerator<ChatPiece> {
  const events = streamEvents({
    endpoint: parseUrl(url),
    path: "/v1/chat/completions",
    apiKey,
    body: { messages, stream: true },
    signal,
    fail: (broken) => failed(url, broken),
  });
  for await (const event of events) yield* readChatPieces(event);
}

/** The pieces of an event of `/v1/chat/completions`; none in the first and the last one. */
export function* readChatPieces({ choices }: Readonly<Record<string, unknown>>): Generator<ChatPiece> {
  const choice: unknown = Array.isArray(choices) ? choices[0] : undefined;
  const delta = isMap(choice) ? choice["delta"] : undefined;
  if (!isMap(delta)) return; // the last event of builds that add timings, or an event of another server
  const { content, reasoning_content: thought } = delta;
  if (typeof thought === "string" && thought !== "") yield { kind: "thought", text: thought };
  if (typeof content === "string" && content !== "") yield { kind: "text", text: content };
}

function failed(url: string, { why, cause }: BrokenAnswer): LlmctlError {
  return new LlmctlError("chat-failed", `the server gave no complete answer: ${why}`, {
    exit: "unavailable",
    at: url,
    cause,
  });
}
