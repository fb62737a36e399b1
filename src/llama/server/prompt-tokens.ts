import { isListOf, isMap, isNumber, isText } from "../../base/text/check-shape.ts";
import { parseJsonOrNothing } from "../../base/text/parse-json.ts";
import type { Endpoint } from "../../supervisor/launch.ts";
import { type HttpRequest, send } from "./http-request.ts";
import { answerFailed } from "./measured-answer.ts";

/**
 * The tokens of a text, without those that begin or end a prompt; special tokens in the text are kept.
 * @throws as {@link askForJson}.
 */
export async function tokenize(endpoint: Endpoint, text: string, signal: AbortSignal): Promise<readonly number[]> {
  const json = { content: text, parse_special: true };
  const { tokens } = await askForJson(endpoint, { method: "POST", path: "/tokenize", json, signal });
  if (isListOf(isNumber)(tokens)) return tokens as readonly number[];
  throw answerFailed(endpoint, { why: "/tokenize answered without tokens" });
}

interface PromptRequest {
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/**
 * The tokens of the prompt that a request becomes, without those that the model adds at its ends.
 * @throws as {@link askForJson}.
 */
export async function tokenizePrompt(
  endpoint: Endpoint,
  { path, body }: PromptRequest,
  signal: AbortSignal,
): Promise<readonly number[]> {
  const text =
    path === "/completion"
      ? body["prompt"]
      : (await askForJson(endpoint, { method: "POST", path: "/apply-template", json: body, signal }))["prompt"];
  if (!isText(text)) throw answerFailed(endpoint, { why: "the request became no prompt of text" });
  return tokenize(endpoint, text as string, signal);
}

/** Number of {@link tokenizePrompt}. */
export async function countPromptTokens(
  endpoint: Endpoint,
  request: PromptRequest,
  signal: AbortSignal,
): Promise<number> {
  return (await tokenizePrompt(endpoint, request, signal)).length;
}

/** The context of one slot, in tokens. @throws as {@link askForJson}. */
export async function readContextTokens(endpoint: Endpoint, signal: AbortSignal): Promise<number> {
  const { default_generation_settings: settings } = await askForJson(endpoint, {
    method: "GET",
    path: "/props",
    signal,
  });
  const tokens = isMap(settings) ? settings["n_ctx"] : undefined;
  if (isNumber(tokens)) return tokens as number;
  throw answerFailed(endpoint, { why: "/props answered without n_ctx" });
}

/** @throws LlmctlError `answer-failed`, `answer-cut-off`; an `AbortError` when the signal is aborted. */
async function askForJson(endpoint: Endpoint, asked: HttpRequest): Promise<Readonly<Record<string, unknown>>> {
  const { status, body } = await sendOrFail(endpoint, asked);
  const answer = parseJsonOrNothing(body);
  if (status === 200 && isMap(answer)) return answer;
  throw answerFailed(endpoint, { why: `${asked.path} answered ${status}: ${body.slice(0, 200)}` });
}

async function sendOrFail(endpoint: Endpoint, asked: HttpRequest): ReturnType<typeof send> {
  try {
    return await send(endpoint, asked);
  } catch (cause) {
    asked.signal.throwIfAborted();
    throw answerFailed(endpoint, { why: "it cannot be reached", isCut: true, cause });
  }
}
