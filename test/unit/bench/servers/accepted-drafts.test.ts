import { expect, test } from "vitest";
import { shareByPosition } from "../../../../src/bench/servers/accepted-drafts.ts";

const counters = (drafts: number, acceptedByPosition: readonly number[]) => ({
  drafts,
  drafted: drafts * acceptedByPosition.length,
  accepted: 0,
  acceptedByPosition,
});

test("the share of accepted drafts is that since the drafting was proved", () => {
  expect(shareByPosition(counters(40, [36, 20, 10]), undefined)).toEqual([0.9, 0.5, 0.25]);
  expect(shareByPosition(counters(50, [46, 25, 10]), counters(10, [10, 5]))).toEqual([0.9, 0.5, 0.25]);
});

test("nothing is said about a server that has drafted nothing since, or whose build does not tell", () => {
  expect(shareByPosition(counters(10, [10]), counters(10, [10]))).toBeNull();
  expect(shareByPosition(undefined, undefined)).toBeNull();
  expect(shareByPosition(undefined, counters(10, [10]))).toBeNull();
});
