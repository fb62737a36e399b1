import { expect, test } from "vitest";
import type { BenchEvent } from "../../../../src/bench/bench-event.ts";
import { TuneProgress } from "../../../../src/bench/tune/tune-progress.ts";

test("each stage has its time, its loads and what it found, and is told when it ends", async () => {
  const events: BenchEvent[] = [];
  let [nowMs, loads] = [500, 2];
  const progress = new TuneProgress({
    clock: { nowMs: () => nowMs },
    readLoads: () => loads,
    onEvent: (event) => events.push(event),
  });
  const result = await progress.stage("baseline", async () => {
    expect(events).toEqual([]);
    nowMs += 1500;
    loads += 1;
    return ["the result", "12 of 12 prompts answered"];
  });
  expect(result).toBe("the result");
  await progress.stage("predict", async () => [undefined, "nothing"]);
  expect(progress.stages).toEqual([
    { name: "baseline", seconds: 1.5, loads: 1, found: "12 of 12 prompts answered" },
    { name: "predict", seconds: 0, loads: 0, found: "nothing" },
  ]);
  expect(events).toEqual([
    { kind: "stage", text: "baseline: 12 of 12 prompts answered" },
    { kind: "stage", text: "predict: nothing" },
  ]);
});

test("a stage that fails is no stage", async () => {
  const progress = new TuneProgress({ clock: { nowMs: () => 0 }, readLoads: () => 0, onEvent: () => undefined });
  await expect(progress.stage("gate", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(progress.stages).toEqual([]);
});
