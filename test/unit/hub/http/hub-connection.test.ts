import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { getFromHub, type HubConnection } from "../../../../src/hub/http/hub-connection.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Sends one byte, and a second one when it is asked for it. */
function connect(signal = new AbortController().signal): HubConnection {
  const pieces = [1, 2].map((byte) => new Uint8Array([byte]));
  const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    const piece = pieces.shift();
    if (piece === undefined) controller.close();
    else controller.enqueue(piece);
  };
  const body = () => new ReadableStream<Uint8Array>({ pull }, { highWaterMark: 0 });
  return { endpoint: "https://hub.example", signal, stallTimeoutMs: 30_000, fetch: async () => new Response(body()) };
}

describe("the stall guard", () => {
  test("does not count time without a reader", async () => {
    const bytes = await getFromHub("https://hub.example/file", {}, connect(), async ({ chunks }) => {
      const seen: number[] = [];
      for await (const chunk of chunks) {
        seen.push(...chunk);
        await vi.advanceTimersByTimeAsync(60_000);
      }
      return seen;
    });
    expect(bytes).toEqual([1, 2]);
  });

  test("aborts a request that gets no answer", async () => {
    const never: HubConnection["fetch"] = (_url, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
    const answer = getFromHub("https://hub.example/file", {}, { ...connect(), fetch: never }, async () => {});
    await Promise.all([expect(answer).rejects.toThrow("no byte for 30 s"), vi.advanceTimersByTimeAsync(30_000)]);
  });
});
