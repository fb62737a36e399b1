import { expect, test } from "vitest";
import { acceptedInTrace } from "../../../../src/bench/trace/accepted-in-trace.ts";

const trace = { leftOut: 0, restoresCheckpoints: false };
const cycle = (drafted: number, accepted: number) => ({ mostDraft: 16, candidates: [], drafted, accepted, tokens: [] });

test("the share of traced drafts is by position, of those that were drafted at all", () => {
  const answers = [
    { task: 1, firstToken: 0, cycles: [cycle(3, 3), cycle(0, 0), cycle(2, 1)] },
    { task: 2, firstToken: 0, cycles: [cycle(1, 0), cycle(3, 2)] },
  ];
  expect(acceptedInTrace({ ...trace, type: "draft-simple", answers })).toEqual([0.75, 0.5, 0.25]);
});

test("a trace without drafts, or none, says nothing", () => {
  expect(acceptedInTrace(undefined)).toBeNull();
  const answers = [{ task: 1, firstToken: 0, cycles: [cycle(0, 0)] }];
  expect(acceptedInTrace({ ...trace, type: undefined, answers })).toBeNull();
});
