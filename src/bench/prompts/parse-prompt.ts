import { createHash } from "node:crypto";
import { isListOf, isMap, isText } from "../../base/text/check-shape.ts";
import { parseJson } from "../../base/text/parse-json.ts";
import { printableLine } from "../../base/text/printable.ts";
import { limitKeys } from "../../llama/server/measured-answer.ts";
import type { BenchPrompt } from "../bench-prompt.ts";

/** A line of a file with prompts. */
export type ParsedLine =
  | { readonly prompt: BenchPrompt; /** Keys of the line that were left out. */ readonly dropped: readonly string[] }
  /** What is wrong with it. */
  | { readonly wrong: string };

type Values = Readonly<Record<string, unknown>>;

/** Longest name of a kind: it is a word of a table. */
const longestKind = 40;
/** Long enough to recognise a prompt. */
const longestExcerpt = 60;
/** Characters of a text that an excerpt is made of; most of them may be spaces. */
const mostLookedAt = 1000;

/** Names of the limit of tokens in the APIs that llama-server has. */
const limitNames = ["max_tokens", "n_predict", "max_completion_tokens"];

/** What a measurement sets itself, or what would make its answers another thing than one text. */
const ownKeys = new Set([
  "stream",
  "stream_options",
  "cache_prompt",
  "model",
  "n",
  "n_cmpl",
  "id_slot",
  "timings_per_token",
  "return_progress",
  "return_tokens",
]);

/** `{"messages":[…]}` or `{"prompt":"…"}`; all other keys are passed on, except `kind` and what a measurement sets. */
export function parsePromptLine(line: string): ParsedLine {
  const values = readMap(line);
  if (values === undefined) return { wrong: "the line is not a JSON object" };
  const { kind = "own", messages, prompt, ...rest } = values;
  if (!isText(kind) || kind === "" || (kind as string).length > longestKind)
    return { wrong: `"kind" must be a text of 1 to ${longestKind} characters` };
  if ((messages === undefined) === (prompt === undefined))
    return { wrong: 'a line needs one of "messages" and "prompt"' };
  const wrong = messages === undefined ? findWrongPrompt(prompt) : findWrongMessages(messages);
  if (wrong !== undefined) return { wrong };
  const path = messages === undefined ? "/completion" : "/v1/chat/completions";
  const limit = readLimit(rest);
  if (limit !== undefined && !isLimit(limit.value))
    return { wrong: `"${limit.name}" must be a whole number of at least 2: the first token comes with the prompt` };
  const passed = Object.entries(rest).filter(([key]) => !isOwn(key) && !limitNames.includes(key));
  return {
    prompt: makePrompt(kind as string, path, {
      ...(messages === undefined ? { prompt } : { messages }),
      ...Object.fromEntries(passed),
      ...(limit === undefined ? {} : { [limitKeys[path]]: limit.value }),
    }),
    dropped: Object.keys(rest).filter(isOwn),
  };
}

/** A chat that begins with this text. */
export function chatPrompt(text: string): BenchPrompt {
  return makePrompt("own", "/v1/chat/completions", { messages: [{ role: "user", content: text }] });
}

/** What a model reads, without how it is to answer: the same for two prompts that a server would see as one. */
export function readableOf({ body }: BenchPrompt): string {
  return JSON.stringify([body["messages"], body["prompt"]]);
}

/** Builds up to b8390 let a request change the drafting, which is what a comparison compares. */
function isOwn(key: string): boolean {
  return ownKeys.has(key) || key === "speculative" || key.startsWith("speculative.");
}

function readMap(line: string): Values | undefined {
  try {
    const values = parseJson(line);
    return isMap(values) ? values : undefined;
  } catch {
    return undefined;
  }
}

function findWrongPrompt(prompt: unknown): string | undefined {
  return isText(prompt) && prompt !== "" ? undefined : '"prompt" must be a text that is not empty';
}

function findWrongMessages(messages: unknown): string | undefined {
  const isMessage = (message: unknown) => isMap(message) && isText(message["role"]);
  return isListOf(isMessage)(messages) && (messages as readonly unknown[]).length > 0
    ? undefined
    : '"messages" must be a list of objects with a "role"';
}

function readLimit(values: Values): { readonly name: string; readonly value: unknown } | undefined {
  const name = limitNames.find((one) => values[one] !== undefined);
  return name === undefined ? undefined : { name, value: values[name] };
}

function isLimit(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 2;
}

function makePrompt(kind: string, path: BenchPrompt["path"], body: Values): BenchPrompt {
  const sorted = Object.fromEntries(Object.entries(body).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  const digest = createHash("sha256")
    .update(JSON.stringify([path, sorted]))
    .digest("hex");
  return { id: digest.slice(0, 16), kind: printableLine(kind), excerpt: excerptOf(sorted), path, body: sorted };
}

function excerptOf({ messages, prompt }: Values): string {
  const last: unknown = Array.isArray(messages) ? messages.at(-1) : undefined;
  const text = firstText(isMap(last) ? last["content"] : prompt);
  const line = text.slice(0, mostLookedAt).replace(/\s+/g, " ").trim();
  // Half of a surrogate pair would be shown as an escape.
  const start = line.slice(0, longestExcerpt).replace(/[\ud800-\udbff]$/, "");
  return printableLine(line.length > longestExcerpt ? `${start}…` : line);
}

/** A content is a text, or parts such as texts and images. */
function firstText(content: unknown): string {
  if (!Array.isArray(content)) return typeof content === "string" ? content : "";
  const part: unknown = content.find((one) => isMap(one) && isText(one["text"]));
  return isMap(part) ? String(part["text"]) : "";
}
