import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { LlmctlError } from "../../base/errors.ts";
import { collectBounded } from "../../base/files/read-bounded.ts";
import { readLines } from "../../base/files/read-lines.ts";
import { isMap } from "../../base/text/check-shape.ts";
import { parseJsonOrNothing } from "../../base/text/parse-json.ts";
import type { Endpoint } from "../../supervisor/launch.ts";
import { connectOptions } from "./http-request.ts";

/** Why an answer is not complete. */
export interface BrokenAnswer {
  /** The server's own words, or ours. */
  readonly why: string;
  /** The server's `error.type`, such as `exceed_context_size_error`; undefined when it named none. */
  readonly type?: string | undefined;
  /** The connection broke, so the server may be gone. */
  readonly isCut?: boolean;
  readonly cause?: unknown;
}

export interface StreamRequest {
  readonly endpoint: Endpoint;
  readonly path: string;
  readonly apiKey: string | undefined;
  /** Asks for a stream. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly signal: AbortSignal;
  /** Whether an event ends the answer; `[DONE]` always does. */
  readonly isLast?: (event: Readonly<Record<string, unknown>>) => boolean;
  /** Makes the error of an answer that is not complete. */
  readonly fail: (broken: BrokenAnswer) => LlmctlError;
}

/**
 * Yields the events of a streamed answer of llama-server as they arrive.
 * @throws the error of `fail`; an `AbortError` when the signal is aborted.
 * @see llama.cpp tools/server/README.md, POST /completion and POST /v1/chat/completions
 */
export async function* streamEvents(asked: StreamRequest): AsyncGenerator<Readonly<Record<string, unknown>>> {
  const { signal, fail, isLast = () => false } = asked;
  const response = await post(asked);
  const { statusCode = 0 } = response;
  if (statusCode !== 200) {
    const refusal = await readRefusal(response);
    signal.throwIfAborted();
    throw fail(refusal ?? { why: `HTTP ${statusCode}` });
  }
  for await (const line of readEventLines(response, fail)) {
    if (line === "data: [DONE]") return;
    if (!line.startsWith("data: ")) continue;
    const event = parseEvent(line.slice("data: ".length), fail);
    yield event;
    if (isLast(event)) return;
  }
  signal.throwIfAborted();
  throw fail({ why: "the answer ended early", isCut: true });
}

/** Not `fetch`: it has no unix sockets, and gives up when a prompt takes longer than five minutes. */
async function post({ endpoint, path, apiKey, body, signal, fail }: StreamRequest): Promise<IncomingMessage> {
  const outgoing = request({
    ...connectOptions(endpoint),
    method: "POST",
    path,
    agent: false,
    signal,
    headers: {
      "content-type": "application/json",
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
    },
  });
  // After the response has begun, an error ends its stream, too, so this listener ignores it.
  outgoing.on("error", () => undefined);
  outgoing.end(JSON.stringify(body));
  try {
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    return response;
  } catch (cause) {
    if (signal.aborted) throw cause;
    throw fail({ why: "it cannot be reached", isCut: true, cause });
  }
}

/** Limits an error answer without end; those of llama-server have some hundred bytes. */
const mostRefusalBytes = 64 << 10;
/** Limits an event without end; those of llama-server have some hundred bytes, and the last one may have the prompt. */
const mostEventBytes = 4 << 20;

/** @returns undefined for an answer that ends early, is too long, or does not come from llama-server. */
async function readRefusal(response: IncomingMessage): Promise<BrokenAnswer | undefined> {
  try {
    const body = await collectBounded(response, mostRefusalBytes);
    return body === undefined ? undefined : readError(parseJsonOrNothing(body.toString("utf8")));
  } catch {
    return undefined;
  }
}

async function* readEventLines(response: IncomingMessage, fail: StreamRequest["fail"]): AsyncGenerator<string> {
  try {
    yield* readLines(response, mostEventBytes);
  } catch (error) {
    throw error instanceof LlmctlError && error.code === "line-too-long"
      ? fail({ why: error.message, cause: error })
      : error;
  }
}

function parseEvent(text: string, fail: StreamRequest["fail"]): Readonly<Record<string, unknown>> {
  const event = parseJsonOrNothing(text);
  if (!isMap(event)) throw fail({ why: "it sent an event that is not a JSON object" });
  const error = readError(event);
  if (error !== undefined) throw fail(error);
  return event;
}

/** llama-server's `{ error: { message, type } }`. */
function readError(answer: unknown): BrokenAnswer | undefined {
  const error = isMap(answer) ? answer["error"] : undefined;
  if (!isMap(error) || typeof error["message"] !== "string") return undefined;
  const { message, type } = error;
  return { why: message.slice(0, longestReason), ...(typeof type === "string" ? { type } : {}) };
}

/** Most characters of a server's error that a message quotes. */
const longestReason = 2000;
