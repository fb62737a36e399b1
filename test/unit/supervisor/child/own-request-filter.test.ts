import { expect, test } from "vitest";
import type { TokenTraffic } from "../../../../src/supervisor/launch.ts";
import { OwnRequestFilter } from "../../../../src/supervisor/child/own-request-filter.ts";

const nothing: TokenTraffic = {
  tokens: 0,
  seconds: 0,
  draftTokens: 0,
  acceptedTokens: 0,
  drafts: 0,
  acceptedLengths: 0,
};
const speed = { ...nothing, tokens: 64, seconds: 0.1 };
const drafted = { ...nothing, draftTokens: 33, acceptedTokens: 19 };

test("the first lines of a run are of our own requests, however late they are logged", () => {
  const own = new OwnRequestFilter();
  own.add(2);
  expect([speed, drafted, speed].map((line) => own.includes(line))).toEqual([true, true, true]);
  expect([speed, drafted, speed, speed].map((line) => own.includes(line))).toEqual([false, false, false, false]);
});

test("a drafting line that comes behind our last line of speed is ours", () => {
  const own = new OwnRequestFilter();
  own.add(1);
  expect([speed, drafted, speed, drafted].map((line) => own.includes(line))).toEqual([true, true, false, false]);
});

test("without requests of ours all lines are of clients, also of one that took no time to measure", () => {
  const own = new OwnRequestFilter();
  expect([{ ...nothing, tokens: 1 }, speed, drafted].map((line) => own.includes(line))).toEqual([false, false, false]);
});
