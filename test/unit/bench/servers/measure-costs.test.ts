import { afterEach, beforeEach, expect, test } from "vitest";
import type { BenchServer } from "../../../../src/bench/servers/bench-server.ts";
import { draftShare, measureCosts } from "../../../../src/bench/servers/measure-costs.ts";
import { AnsweringServer, events } from "../../../support/answering-server.ts";

let server: AnsweringServer;
let cpuMs: number;
/** A server that cannot shorten its cache computes other batches than it was asked for. */
let more: number;
let known: readonly number[];

/** A batch costs 20 ms and 1 ms for each token; a request of its own takes 7 ms of processor time. */
beforeEach(async () => {
  [cpuMs, more, known] = [0, 0, []];
  server = await AnsweringServer.listen();
  server.answer = (response, { path, body }) => {
    if (path === "/props") return void response.end(JSON.stringify({ default_generation_settings: { n_ctx: 4096 } }));
    if (path === "/tokenize")
      return void response.end(JSON.stringify({ tokens: Array.from({ length: 60 }, (_, index) => index) }));
    const { prompt, n_predict: tokens } = body as { readonly prompt: readonly number[]; readonly n_predict: number };
    const differs = prompt.findIndex((token, index) => token !== known[index]);
    const computed = prompt.length - (differs === -1 ? prompt.length - 1 : differs) + more;
    known = prompt;
    cpuMs += 7 + 20 + computed + 21 * (tokens - 1);
    const timings = {
      prompt_n: computed,
      prompt_ms: 20 + computed,
      predicted_n: tokens,
      predicted_ms: 21 * (tokens - 1),
    };
    response.end(events({ content: "a", stop: false }, { content: "b", stop: true, stop_type: "limit", timings }));
  };
});
afterEach(() => server[Symbol.asyncDispose]());

function measure(timing: "wall" | "cpu") {
  const measured = { endpoint: server.endpoint, readSettledCpuMs: async () => cpuMs } as BenchServer;
  return measureCosts(measured, { timing, signal: new AbortController().signal });
}

const expected = Array.from({ length: 17 }, (_, index) => 21 + index);

test.each(["wall", "cpu"] as const)(
  "batches of 1 to 17 tokens are measured by %s time, without their request",
  async (timing) => {
    const costs = await measure(timing);
    expect(costs).toHaveLength(17);
    for (const [index, ms] of (costs ?? []).entries()) expect(ms).toBeCloseTo(expected[index] ?? 0);
  },
);

test("a server that computes other batches than asked has no costs", async () => {
  more = 3;
  expect(await measure("wall")).toBeUndefined();
});

test("the share of a draft is what both cost beyond the target, and never below 0", () => {
  expect(draftShare([30, 40, 9], [20, 35, 10])).toEqual([10, 5, 0]);
});
