import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type BatchCostOptions,
  checkedSizes,
  fillCosts,
  measureBatchCosts,
} from "../../../../src/llama/server/batch-costs.ts";
import { AnsweringServer, events } from "../../../support/answering-server.ts";

let server: AnsweringServer;
let model: FakeModel;

beforeEach(async () => {
  server = await AnsweringServer.listen();
  model = new FakeModel();
  server.answer = (response, { path, body }) => {
    if (path === "/tokenize") response.end(JSON.stringify({ tokens: model.text }));
    else if (path === "/props") response.end(JSON.stringify({ default_generation_settings: { n_ctx: 512 } }));
    else response.end(events(model.complete(body as Completion)));
  };
});
afterEach(() => server[Symbol.asyncDispose]());

interface Completion {
  readonly prompt: readonly number[];
  readonly n_predict: number;
  readonly cache_prompt: boolean;
}

/** Milliseconds that the fake model takes for a batch. */
const costOf = (size: number) => 10 + 3 * size;

/** A server with one slot, whose times follow {@link costOf}. */
class FakeModel {
  text: readonly number[] = [5, 6, 5, 7, 8, 8, 9];
  /** Added to the time of each batch, in turn. */
  noiseMs: readonly number[] = [0];
  /** Tokens of the cache that it cannot use, as with a sliding window. */
  forgets = 0;
  drafts = 0;
  cpuMs = 0;
  readonly sizes: number[] = [];
  #slot: readonly number[] = [];

  complete({ prompt, n_predict: tokens, cache_prompt: usesCache }: Completion): unknown {
    const differs = prompt.findIndex((token, index) => token !== this.#slot[index]);
    const cached = Math.min(usesCache ? (differs === -1 ? prompt.length : differs) : 0, prompt.length - 1);
    const size = prompt.length - Math.max(0, cached - this.forgets);
    this.#slot = prompt;
    const noiseMs = this.noiseMs[this.sizes.length % this.noiseMs.length] ?? 0;
    this.sizes.push(size);
    // A request costs two milliseconds of its own.
    this.cpuMs += 2 + noiseMs + costOf(size) + (tokens - 1) * costOf(1);
    return {
      stop: true,
      timings: {
        prompt_n: size,
        prompt_ms: costOf(size) + noiseMs,
        predicted_n: tokens,
        predicted_ms: (tokens - 1) * costOf(1),
        ...(this.drafts > 0 ? { draft_n: this.drafts, draft_n_accepted: 0 } : {}),
      },
    };
  }
}

const measure = (options: Partial<BatchCostOptions> = {}) =>
  measureBatchCosts(server.endpoint, { signal: new AbortController().signal, ...options });
const truth = (sizes: readonly number[]) => new Map(sizes.map((size) => [size, costOf(size)]));

test("each size is asked for behind a cached prompt, in an order that turns", async () => {
  expect(await measure({ repeats: 2, depth: 100 })).toEqual(truth(checkedSizes));
  expect(model.sizes).toEqual([100, ...checkedSizes, ...checkedSizes.toReversed()]);
});

test("the prompt is at most half of the context", async () => {
  await measure({ repeats: 1, depth: 1000, sizes: [2] });
  expect(model.sizes).toEqual([256, 1, 2]);
});

test("the median of the repeats counts", async () => {
  model.noiseMs = [0, 100, 0, 50];
  expect(await measure({ repeats: 3, sizes: [1] })).toEqual(new Map([[1, costOf(1) + 50]]));
});

test("without a size of 1, that is measured all the same", async () => {
  expect(await measure({ repeats: 1, sizes: [5, 3] })).toEqual(truth([1, 5, 3]));
});

test("the processor time of a batch is that of its request without the request's own", async () => {
  const readCpuMs = async () => model.cpuMs;
  expect(await measure({ readCpuMs, repeats: 3 })).toEqual(truth(checkedSizes));
});

test("a size whose processor time cannot be read is missing", async () => {
  expect(await measure({ readCpuMs: async () => null, repeats: 2 })).toEqual(new Map());
});

test("batches of another size than was asked for do not count", async () => {
  model.forgets = 1;
  expect(await measure({ repeats: 2, sizes: [1, 2, 3] })).toEqual(new Map());
});

test("answers with drafts do not count", async () => {
  model.drafts = 3;
  expect(await measure({ repeats: 2, sizes: [1, 2] })).toEqual(new Map());
});

test("a text of one token over and over measures a size of 1 only", async () => {
  model.text = [5];
  expect(await measure({ repeats: 2, sizes: [4] })).toEqual(truth([1]));
});

describe("all sizes", () => {
  test("between measured ones lie on the line between them", () => {
    expect(
      fillCosts(
        new Map([
          [5, 30],
          [1, 10],
          [2, 20],
        ]),
        5,
      ),
    ).toEqual([10, 20, 20 + 10 / 3, 20 + 20 / 3, 30]);
  });

  test.each<[string, [number, number][], number]>([
    ["the first size", [[2, 20]], 2],
    ["the last size", [[1, 10]], 2],
    ["everything", [], 1],
  ])("are not known without %s", (_, costs, longest) => {
    expect(fillCosts(new Map(costs), longest)).toBeUndefined();
  });

  test("are as measured where they were measured, and between their neighbours where not", () => {
    const measured = fc.uniqueArray(fc.tuple(fc.integer({ min: 2, max: 16 }), fc.nat(1000)), { selector: ([k]) => k });
    fc.assert(
      fc.property(measured, fc.nat(1000), fc.nat(1000), (some, first, last) => {
        const costs = new Map<number, number>([[1, first], ...some, [17, last]]);
        const filled = fillCosts(costs, 17) ?? [];
        expect(filled).toHaveLength(17);
        for (const [size, ms] of costs) expect(filled[size - 1]).toBe(ms);
        const sizes = [...costs.keys()].toSorted((a, b) => a - b);
        for (const [index, size] of sizes.slice(1).entries()) {
          const ends = [costs.get(sizes[index] ?? 1) ?? 0, costs.get(size) ?? 0];
          for (const ms of filled.slice((sizes[index] ?? 1) - 1, size)) {
            expect(ms).toBeGreaterThanOrEqual(Math.min(...ends) - 1e-9);
            expect(ms).toBeLessThanOrEqual(Math.max(...ends) + 1e-9);
          }
        }
      }),
    );
  });
});
