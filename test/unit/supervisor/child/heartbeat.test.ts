import { beforeEach, expect, test } from "vitest";
import { Heartbeat } from "../../../../src/supervisor/child/heartbeat.ts";

const { signal } = new AbortController();
let questions: { readonly answer: () => void; readonly signal: AbortSignal }[];
let heartbeat: Heartbeat;

beforeEach(() => {
  questions = [];
  const ask = (given: AbortSignal) => new Promise<void>((answer) => questions.push({ answer, signal: given }));
  heartbeat = new Heartbeat(ask, { everyMs: 100, nowMs: 1000, signal });
});

/** Checks every 10 ms. @returns the total number of probes. */
function beatUntil(fromMs: number, toMs: number): number {
  for (let nowMs = fromMs; nowMs <= toMs; nowMs += 10) heartbeat.beat(nowMs);
  return questions.length;
}

test("a main loop is probed when due, and the wait is counted from the open probe", async () => {
  expect(beatUntil(1000, 1090)).toBe(0);
  expect(beatUntil(1100, 1150)).toBe(1);
  expect(heartbeat.waitedMs(1150)).toBe(50);
  questions[0]?.answer();
  await Promise.resolve();
  expect(heartbeat.waitedMs(1160)).toBe(0);
  expect(beatUntil(1160, 1200)).toBe(2);
});

test("an unanswered probe is replaced after growing intervals, and the wait goes on counting", async () => {
  expect(beatUntil(1000, 1190)).toBe(1);
  expect(beatUntil(1200, 1390)).toBe(2);
  expect(questions[0]?.signal.aborted).toBe(true);
  expect(beatUntil(1400, 1990)).toBe(3);
  expect(beatUntil(2000, 2010)).toBe(4);
  expect(heartbeat.waitedMs(2010)).toBe(910);
  questions[0]?.answer();
  await Promise.resolve();
  expect(heartbeat.waitedMs(2020)).toBe(920);
  questions[3]?.answer();
  await Promise.resolve();
  expect(heartbeat.waitedMs(2030)).toBe(0);
});
