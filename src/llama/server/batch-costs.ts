import type { Endpoint } from "../../supervisor/launch.ts";
import { measureAnswer, type MeasuredAnswer } from "./measured-answer.ts";
import { readContextTokens, tokenize } from "./prompt-tokens.ts";

/** Milliseconds by number of tokens in the batch; sizes that could not be measured are missing. */
export type CostsBySize = ReadonlyMap<number, number>;

export interface BatchCostOptions {
  readonly signal: AbortSignal;
  /** Numbers of tokens; by default 1 to 17: a step of generation, and drafts of 1 to 16 tokens with it. */
  readonly sizes?: readonly number[];
  /** Number of measurements of each size, of which the median counts. */
  readonly repeats?: number;
  /** Tokens before the batch, whose attention it pays for; at most half of the context. */
  readonly depth?: number | undefined;
  /**
   * Processor time of the server so far, read when the server does nothing. With it that is the clock, else the
   * server's own is.
   */
  readonly readCpuMs?: (() => Promise<number | null>) | undefined;
}

/** Of drafts of up to 16 tokens, the most that any setting of a tune has. */
export const checkedSizes: readonly number[] = Array.from({ length: 17 }, (_, index) => index + 1);

/**
 * Measures what a server takes to compute a batch of `k` tokens behind a cached prompt. A server with a draft model
 * computes each batch with both models; one that cannot shorten its cache, as with a sliding window, computes other
 * batches than it was asked for, and those sizes are missing. The costs are not smoothed: where a kernel changes with
 * the size, a larger batch can be cheaper.
 *
 * A check of a draft also computes the output layer for each token, here only for the last: a small model with a large
 * vocabulary checks drafts at a somewhat higher price.
 * @throws as `measureAnswer` and `tokenize`.
 */
export async function measureBatchCosts(endpoint: Endpoint, options: BatchCostOptions): Promise<CostsBySize> {
  const { repeats = 5, readCpuMs } = options;
  const sizes = [...new Set([1, ...(options.sizes ?? checkedSizes)])];
  const server = await BatchServer.prepare(endpoint, options);
  const batches = new Map(sizes.map((size) => [size, [] as number[]]));
  const steps: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    // Turned each time, so that a machine that gets slower slows all sizes alike.
    const order = repeat % 2 === 0 ? sizes : sizes.toReversed();
    for (const size of order) batches.get(size)?.push(...(await server.measure({ size, tokens: 1 })));
    if (readCpuMs !== undefined) steps.push(...(await measureSteps(server)));
  }
  const overheadMs = readCpuMs === undefined ? 0 : median(batches.get(1)) - median(steps);
  const costs = [...batches].map(([size, samples]) => [size, median(samples) - overheadMs] as const);
  return new Map(costs.filter(([, ms]) => ms > 0));
}

/** Steps for each repeat: the difference of two requests is less certain than one. */
const stepsPerRepeat = 3;

/**
 * Processor time of batches of one token without their request: what a second token of an answer adds. What is left of
 * a request of one token is the request's own.
 */
async function measureSteps(server: BatchServer): Promise<readonly number[]> {
  const steps: number[] = [];
  for (let count = 0; count < stepsPerRepeat; count += 1) {
    const [one] = await server.measure({ size: 1, tokens: 1 });
    const [two] = await server.measure({ size: 1, tokens: 2 });
    if (one !== undefined && two !== undefined) steps.push(two - one);
  }
  return steps;
}

interface Batch {
  readonly size: number;
  /** Generated tokens. */
  readonly tokens: number;
}

/** A server whose first slot holds a prompt that batches are added to. */
class BatchServer {
  readonly #endpoint: Endpoint;
  readonly #options: BatchCostOptions;
  readonly #prompt: readonly number[];
  /** What batches are made of: text, since the experts of a model depend on it. */
  readonly #text: readonly number[];
  #at = 0;

  private constructor(endpoint: Endpoint, options: BatchCostOptions, text: readonly number[], depth: number) {
    this.#endpoint = endpoint;
    this.#options = options;
    this.#text = text;
    this.#prompt = Array.from({ length: depth }, (_, index) => text[index % text.length] ?? 0);
  }

  static async prepare(endpoint: Endpoint, options: BatchCostOptions): Promise<BatchServer> {
    const { depth = 256, signal } = options;
    const text = await tokenize(endpoint, plainText, signal);
    const context = await readContextTokens(endpoint, signal);
    const server = new BatchServer(endpoint, options, text, Math.min(depth, Math.floor(context / 2)));
    await server.#send([], 1);
    return server;
  }

  /** @returns the time of one batch; nothing when the server has computed another one. */
  async measure({ size, tokens }: Batch): Promise<readonly number[]> {
    const beforeMs = await this.#options.readCpuMs?.();
    const answer = await this.#send(this.#nextBatch(size), tokens);
    const afterMs = await this.#options.readCpuMs?.();
    if (answer.promptTokens !== size || answer.tokens !== tokens || answer.draftTokens > 0) return [];
    if (beforeMs === undefined || afterMs === undefined) return [answer.promptMs];
    return beforeMs === null || afterMs === null ? [] : [afterMs - beforeMs];
  }

  /** Begins with another token than the batch before: what both begin with would not be computed again. */
  #nextBatch(size: number): readonly number[] {
    const last = this.#text[this.#at];
    for (let tries = 0; tries < this.#text.length; tries += 1) {
      this.#at = (this.#at + 1) % this.#text.length;
      if (this.#text[this.#at] !== last) break;
    }
    return Array.from({ length: size }, (_, index) => this.#text[(this.#at + index) % this.#text.length] ?? 0);
  }

  #send(batch: readonly number[], tokens: number): Promise<MeasuredAnswer> {
    return measureAnswer({
      endpoint: this.#endpoint,
      path: "/completion",
      body: { prompt: [...this.#prompt, ...batch], n_predict: tokens, temperature: 0, id_slot: 0 },
      usesCache: true,
      signal: this.#options.signal,
    });
  }
}

/** NaN of nothing, which no comparison lets pass. */
function median(numbers: readonly number[] = []): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2;
}

/**
 * The costs of all sizes from 1 on, for a formula: sizes between two measured ones lie on the line between them.
 * @returns entry `k - 1` is a batch of `k` tokens; undefined when the first or the last size was not measured.
 */
export function fillCosts(costs: CostsBySize, longest: number): readonly number[] | undefined {
  const sizes = [...costs.keys()].toSorted((a, b) => a - b);
  if (!costs.has(1) || (sizes.at(-1) ?? 0) < longest) return undefined;
  return Array.from({ length: longest }, (_, index) => {
    const size = index + 1;
    const below = sizes.findLast((one) => one <= size) ?? 1;
    const above = sizes.find((one) => one >= size) ?? below;
    const [low = 0, high = 0] = [costs.get(below), costs.get(above)];
    return above === below ? low : low + ((high - low) * (size - below)) / (above - below);
  });
}

/** Ordinary prose, a hundred tokens or so. */
const plainText =
  "The harbour lay still in the morning light, and only a few gulls circled above the boats. An old fisherman " +
  "mended his nets on the quay while his granddaughter read to him from the newspaper: the price of fuel had risen " +
  "again, a storm was expected by Friday, and the new bridge would open two weeks late. He laughed at the weather " +
  "report, since he had known about the storm for days. Then they packed their things, locked the shed, and walked " +
  "home slowly along the sea wall, past the bakery and the school, to have soup before the rain came.";
