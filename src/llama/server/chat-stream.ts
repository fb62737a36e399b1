import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { isMap } from "../../base/text/check-shape.ts";
import { LlmctlError } from "../../base/errors.ts";
import { parseJsonOrNothing } from "../../base/text/parse-json.ts";
import { collectBounded } from "../../base/files/read-bounded.ts";
import { readLines } from "../../base/files/read-lines.ts";
import { parseUrl } from "../../supervisor/child/endpoint.ts";
import { connectOptions } from "./server-http.ts";

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
 * @see llama.cpp tools/server/README.md, POST /v1/chat/completions
 */
export async function* streamChat({ url, apiKey, messages, signal }: ChatRequest): AsyncGenerator<ChatPiece> {
  const response = await post(url, { apiKey, signal, body: JSON.stringify({ messages, stream: true }) });
  const { statusCode = 0 } = response;
  if (statusCode !== 200) throw failed(url, (await readRefusal(response)) ?? `HTTP ${statusCode}`);
  for await (const line of readEvents(response, url)) {
    if (line === "data: [DONE]") return;
    if (line.startsWith("data: ")) yield* readPieces(parseEvent(line.slice("data: ".length), url), url);
  }
  signal.throwIfAborted();
  throw failed(url, "the answer ended early");
}

interface Post {
  readonly apiKey: string | undefined;
  readonly signal: AbortSignal;
  readonly body: string;
}

/** Not `fetch`: it has no unix sockets, and gives up when a prompt takes longer than five minutes. */
async function post(url: string, { apiKey, signal, body }: Post): Promise<IncomingMessage> {
  const outgoing = request({
    ...connectOptions(parseUrl(url)),
    method: "POST",
    path: "/v1/chat/completions",
    agent: false,
    signal,
    headers: {
      "content-type": "application/json",
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
    },
  });
  // After the response has begun, an error ends its stream, too, so this listener ignores it.
  outgoing.on("error", () => undefined);
  outgoing.end(body);
  try {
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    return response;
  } catch (cause) {
    if (signal.aborted) throw cause;
    throw failed(url, "it cannot be reached", cause);
  }
}

/** Limits an error answer without end; those of llama-server have some hundred bytes. */
const mostRefusalBytes = 64 << 10;
/** Limits an event without end; those of llama-server have some hundred bytes, and the last one may have the prompt. */
const mostEventBytes = 4 << 20;

/** @returns undefined for an answer that ends early, is too long, or does not come from llama-server. */
async function readRefusal(response: IncomingMessage): Promise<string | undefined> {
  try {
    const body = await collectBounded(response, mostRefusalBytes);
    return body === undefined ? undefined : readError(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

async function* readEvents(response: IncomingMessage, url: string): AsyncGenerator<string> {
  try {
    yield* readLines(response, mostEventBytes);
  } catch (error) {
    throw error instanceof LlmctlError && error.code === "line-too-long"
      ? failed(url, `${error.message}`, error)
      : error;
  }
}

function parseEvent(text: string, url: string): object {
  const event = parseJsonOrNothing(text);
  if (typeof event === "object" && event !== null) return event;
  throw failed(url, "it sent an event that is not a JSON object");
}

function* readPieces(event: object, url: string): Generator<ChatPiece> {
  const error = readError(event);
  if (error !== undefined) throw failed(url, error);
  const choices = isMap(event) ? event["choices"] : undefined;
  const choice: unknown = Array.isArray(choices) ? choices[0] : undefined;
  const delta = isMap(choice) ? choice["delta"] : undefined;
  if (!isMap(delta)) return; // the last event of builds that add timings, or an event of another server
  const { content, reasoning_content: thought } = delta;
  if (typeof thought === "string" && thought !== "") yield { kind: "thought", text: thought };
  if (typeof content === "string" && content !== "") yield { kind: "text", text: content };
}

/** llama-server's `{ error: { message } }`, parsed or as text. */
function readError(answer: unknown): string | undefined {
  if (typeof answer === "string") return readError(parseJsonOrNothing(answer));
  const error = isMap(answer) ? answer["error"] : undefined;
  return isMap(error) && typeof error["message"] === "string" ? error["message"].slice(0, longestReason) : undefined;
}

/** Most characters of a server's error that a message quotes. */
const longestReason = 2000;

function failed(url: string, why: string, cause?: unknown): LlmctlError {
  return new LlmctlError("chat-failed", `the server gave no complete answer: ${why}`, {
    exit: "unavailable",
    at: url,
    cause,
  });
}
