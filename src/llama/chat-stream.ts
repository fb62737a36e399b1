import { Readable } from "node:stream";
import { LlmctlError } from "../base/errors.ts";
import { readLines } from "../base/read-lines.ts";
import { readApiKey } from "./server-http.ts";

export interface ChatMessage {
  readonly role: "user" | "assistant";
  readonly content: string;
}

/** A part of an answer, as it comes. */
export interface ChatPiece {
  readonly kind: "thought" | "text";
  readonly text: string;
}

interface ChatRequest {
  /** Base URL of a llama-server. */
  readonly url: string;
  /** File with API keys, one a line. */
  readonly apiKeyFile: string | undefined;
  readonly messages: readonly ChatMessage[];
  readonly signal: AbortSignal;
}

/**
 * Asks a running server for the next message of a chat.
 * @throws LlmctlError `chat-failed` with the server's own words; the signal's reason when it is aborted.
 * @see llama.cpp tools/server/README.md, POST /v1/chat/completions
 */
export async function* streamChat({ url, apiKeyFile, messages, signal }: ChatRequest): AsyncGenerator<ChatPiece> {
  const key = readApiKey(apiKeyFile);
  const response = await post(`${url}/v1/chat/completions`, {
    signal,
    headers: { "content-type": "application/json", ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
    body: JSON.stringify({ messages, stream: true }),
  });
  if (!response.ok || response.body === null) throw failed(url, readError(await response.text()) ?? `HTTP ${response.status}`);
  for await (const line of readLines(Readable.fromWeb(response.body))) {
    if (line === "data: [DONE]") return;
    if (line.startsWith("data: ")) yield* readPieces(JSON.parse(line.slice("data: ".length)), url);
  }
  signal.throwIfAborted();
  throw failed(url, "it broke off");
}

async function post(url: string, init: RequestInit & { readonly signal: AbortSignal }): Promise<Response> {
  try {
    return await fetch(url, { method: "POST", ...init });
  } catch (cause) {
    if (init.signal.aborted) throw cause;
    throw failed(url, "it cannot be reached", cause);
  }
}

function* readPieces(event: unknown, url: string): Generator<ChatPiece> {
  const error = readError(event);
  if (error !== undefined) throw failed(url, error);
  const { choices: [choice] = [] } = event as { choices?: { delta?: { content?: unknown; reasoning_content?: unknown } }[] };
  const { content, reasoning_content: thought } = choice?.delta ?? {};
  if (typeof thought === "string" && thought !== "") yield { kind: "thought", text: thought };
  if (typeof content === "string" && content !== "") yield { kind: "text", text: content };
}

/** llama-server's `{ error: { message } }`, parsed or as text. */
function readError(answer: unknown): string | undefined {
  if (typeof answer === "string") return readError(parseOrNothing(answer));
  const { error } = (answer ?? {}) as { error?: { message?: unknown } };
  return typeof error?.message === "string" ? error.message : undefined;
}

function parseOrNothing(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {}; // a proxy's page, of which the status is all that can be said
  }
}

function failed(url: string, why: string, cause?: unknown): LlmctlError {
  return new LlmctlError("chat-failed", `the server gave no whole answer: ${why}`, { exit: "unavailable", at: url, cause });
}
