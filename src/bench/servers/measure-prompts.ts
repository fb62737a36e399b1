import { type Clock, systemClock } from "../../base/clock.ts";
import { LlmctlError } from "../../base/errors.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { limitKeys, measureAnswer, type MeasuredAnswer } from "../../llama/server/measured-answer.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import type { FailedRequest, Measurement, Timing } from "../measurement.ts";
import type { BenchServer } from "./bench-server.ts";

/** What a measurement uses of a server. */
export type MeasuredServer = Pick<BenchServer, "endpoint" | "readSettledCpuMs" | "findDeath">;

export interface MeasureOptions {
  readonly signal: AbortSignal;
  /** With `cpu` the processor time is measured, too, at the price of two short requests more. */
  readonly timing: Timing;
  /** Most tokens of an answer whose prompt says nothing about that. */
  readonly maxTokens: number;
  /** Told of each measured answer, for its text. */
  readonly onAnswer?: ((prompt: BenchPrompt, answer: MeasuredAnswer) => void) | undefined;
  readonly clock?: Clock;
}

/**
 * Asks a server for prompts, all at the same time. A failed request is a result.
 * @throws the reason of the signal.
 */
export async function measurePrompts(
  server: MeasuredServer,
  prompts: readonly BenchPrompt[],
  options: MeasureOptions,
): Promise<readonly (Measurement | FailedRequest)[]> {
  // Requests that overlap share the processor time of the process.
  const isExact = options.timing === "cpu" && prompts.length === 1;
  return Promise.all(prompts.map((prompt) => measureOne(server, prompt, { ...options, isExact })));
}

interface OneOptions extends MeasureOptions {
  readonly isExact: boolean;
}

async function measureOne(
  server: MeasuredServer,
  prompt: BenchPrompt,
  options: OneOptions,
): Promise<Measurement | FailedRequest> {
  try {
    return await (options.isExact ? measureExactly(server, prompt, options) : measureOnce(server, prompt, options));
  } catch (error) {
    options.signal.throwIfAborted();
    if (!(error instanceof LlmctlError)) throw error;
    // A dying server closes its connections before its exit is seen, and the exit explains more.
    const death = error.code === "answer-cut-off" ? await server.findDeath() : undefined;
    return { error: printableSentence((death ?? error).message) };
  }
}

async function measureOnce(server: MeasuredServer, prompt: BenchPrompt, options: MeasureOptions): Promise<Measurement> {
  const answer = await ask(server, prompt, { ...options, usesCache: false });
  options.onAnswer?.(prompt, answer);
  return toMeasurement(answer, answer, null);
}

/**
 * Measures the processor time of the generation alone. It is read while the server is idle: the numbers of a running
 * thread lag behind, and on a busy machine a client sees the first token when many more are done. So the prompt is
 * computed by a request of its own, and what one token takes as a request is subtracted from what the answer takes.
 * Drafts are those of a single request: no drafter learns from a prompt that it knows already.
 */
async function measureExactly(
  server: MeasuredServer,
  prompt: BenchPrompt,
  options: MeasureOptions,
): Promise<Measurement> {
  const first = await ask(server, prompt, { ...options, isOneToken: true, usesCache: false });
  const one = await askWithCpu(server, prompt, { ...options, isOneToken: true });
  const whole = await askWithCpu(server, prompt, options);
  options.onAnswer?.(prompt, whole.answer);
  // A server that cannot use its cache computes the prompt again, in both requests.
  const isSamePrompt = one.answer.promptTokens === whole.answer.promptTokens;
  const isKnown = one.cpuMs !== null && whole.cpuMs !== null && isSamePrompt;
  return toMeasurement(first, whole.answer, isKnown ? Math.max(0, whole.cpuMs - one.cpuMs) : null);
}

function toMeasurement(first: MeasuredAnswer, whole: MeasuredAnswer, cpuMs: number | null): Measurement {
  return {
    tokens: Math.max(0, whole.tokens - 1),
    generateMs: whole.generateMs,
    cpuMs,
    promptTokens: first.promptTokens,
    firstTokenMs: first.firstTokenMs,
    draftTokens: whole.draftTokens,
    acceptedTokens: whole.acceptedTokens,
  };
}

interface AskOptions extends MeasureOptions {
  readonly isOneToken?: boolean;
  readonly usesCache: boolean;
}

function ask(
  { endpoint }: MeasuredServer,
  { path, body }: BenchPrompt,
  { signal, usesCache, isOneToken = false, maxTokens, clock = systemClock }: AskOptions,
): Promise<MeasuredAnswer> {
  const ownLimit = body[limitKeys[path]];
  const most = isOneToken ? 1 : typeof ownLimit === "number" ? ownLimit : maxTokens;
  return measureAnswer({ endpoint, path, body: { ...body, [limitKeys[path]]: most }, usesCache, signal, clock });
}

interface AnswerWithCpu {
  readonly answer: MeasuredAnswer;
  /** Processor time of the whole request. */
  readonly cpuMs: number | null;
}

async function askWithCpu(
  server: MeasuredServer,
  prompt: BenchPrompt,
  options: Omit<AskOptions, "usesCache">,
): Promise<AnswerWithCpu> {
  const before = await server.readSettledCpuMs();
  const answer = await ask(server, prompt, { ...options, usesCache: true });
  const after = await server.readSettledCpuMs();
  return { answer, cpuMs: before === null || after === null ? null : after - before };
}
