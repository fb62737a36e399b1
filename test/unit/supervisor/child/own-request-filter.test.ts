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

test("the first lines of a run belong to llmctl's own requests, even if they are logged late", () => {
  const own = new OwnRequestFilter();
  own.add(2);
  expect([speed, drafted, speed].map((line) => own.includes(line))).toEqual([true, true, true]);
  expect([speed, drafted, speed, speed].map((line) => own.includes(line))).toEqual([false, false, false, false]);
});

test("a drafting line after the last speed line of llmctl's requests belongs to them", () => {
  const own = new OwnRequestFilter();
  own.add(1);
  expect([speed, drafted, speed, drafted].map((line) => own.includes(line))).toEqual([true, true, false, false]);
});

test("without own requests all lines belong to clients, even a line without a measurable time", () => {
  const own = new OwnRequestFilter();
  expect([{ ...nothing, tokens: 1 }, speed, drafted].map((line) => own.includes(line))).toEqual([false, false, false]);
});
