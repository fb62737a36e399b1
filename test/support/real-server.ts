import { readlink } from "node:fs/promises";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { readStatus, upDetached, type Listed } from "./processes.ts";
import type { TempHome } from "./temp-home.ts";

/** The status of a profile with a listening server. */
export type Serving = Listed & { readonly pid: number; readonly url: string };

/** A completion's `timings`; the draft counters are absent when nothing was drafted. */
export interface Timings {
  readonly predicted_n: number;
  readonly draft_n?: number;
  readonly draft_n_accepted?: number;
}

const storyRequest = { messages: [{ role: "user", content: "Tell me a story about an otter." }], temperature: 0 };

/** Of the demo models: `<|endoftext|>` and `<|im_end|>`. Builds of January 2026 ignore `ignore_eos`. */
const endTokens = [0, 2];

/** Starts a profile in the background and waits until it is ready. */
export async function upServing(home: TempHome, name: string): Promise<Serving> {
  return asServing(await upDetached(home, name));
}

export async function readServing(home: TempHome, name: string): Promise<Serving> {
  return asServing(await readStatus(home, name));
}

function asServing(status: Listed): Serving {
  const { pid, url } = status;
  if (pid === null || url === null) throw new Error(`"${status.name}" does not serve: ${JSON.stringify(status)}`);
  return { ...status, pid, url };
}

/** One event of a streamed chat answer; the last one has the timings. */
interface Chunk {
  readonly choices: readonly [{ readonly finish_reason: string | null; readonly delta: { readonly content?: string } }];
  readonly timings?: Timings;
}

/**
 * Asks for this many tokens without an end token, and yields the answer's events as they come.
 * @param signal Closes the connection.
 * @throws when the stream ends early.
 */
export async function* streamStory(url: string, maxTokens: number, signal?: AbortSignal): AsyncGenerator<Chunk> {
  const request = {
    ...storyRequest,
    max_tokens: maxTokens,
    logit_bias: endTokens.map((id) => [id, false]),
    stream: true,
  };
  const { body } = await post(`${url}/v1/chat/completions`, request, signal);
  if (body === null) throw new Error("an answer without a body");
  for await (const line of createInterface({ input: Readable.fromWeb(body) })) {
    if (line === "data: [DONE]") return;
    if (line.startsWith("data: ")) yield JSON.parse(line.slice("data: ".length)) as Chunk;
  }
  throw new Error("the stream broke off");
}

/** Asks for a story with greedy sampling, so the answer is the same each time. */
export async function askForStory(url: string): Promise<{ readonly text: string; readonly timings: Timings }> {
  const response = await post(`${url}/v1/chat/completions`, {
    ...storyRequest,
    max_tokens: 64,
  });
  const answer = (await response.json()) as { choices: [{ message: { content: string } }]; timings: Timings };
  return { text: answer.choices[0].message.content, timings: answer.timings };
}

/** @throws with the server's answer for any status but 2xx. */
async function post(url: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(url, { method: "POST", body: JSON.stringify(body), headers, signal: signal ?? null });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return response;
}

export async function getJson(url: string): Promise<unknown> {
  return (await fetch(url)).json();
}

/** The program that a process runs, absolute. */
export async function programOf(pid: number): Promise<string> {
  return readlink(`/proc/${pid}/exe`);
}
