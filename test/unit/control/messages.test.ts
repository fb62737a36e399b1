import { describe, expect, test } from "vitest";
import { isEvent, isRefusal, isStatus, type Status } from "../../../src/control/messages.ts";
import { makeEvent, makeStatus } from "../../support/make-status.ts";

const optional: readonly string[] = [
  "llmctl",
  "launchVersion",
  "waitingFor",
  "command",
  "draftingSpeedup",
] satisfies readonly (keyof Status)[];
const nullable = (
  "url pid tokensPerSecond baselineTokensPerSecond traffic draftingSpeedup loadMs load startedAt lastExit " +
  "waitingFor retryInMs"
).split(" ");
const keys = Object.keys(makeStatus());

test("a complete status and a complete event pass, even with keys of a later version", () => {
  expect(isStatus({ ...makeStatus(), later: 1 })).toBe(true);
  expect(isEvent(makeEvent({ end: { exit: "crashLoop", code: 12 }, isProgress: true }))).toBe(true);
  expect(isRefusal({ message: "no", code: "no", exit: "busy", fix: { run: ["ps"] } })).toBe(true);
});

describe("a status is refused", () => {
  test.each(keys.filter((key) => !optional.includes(key)))("without %s", (key) => {
    expect(isStatus({ ...makeStatus(), [key]: undefined })).toBe(false);
  });

  test.each(keys)("with a value of another type for %s", (key) => {
    for (const wrong of [true, { odd: true }, [[]], Number.NaN]) {
      // An empty map is one of counts.
      expect(isStatus({ ...makeStatus(), [key]: wrong }), JSON.stringify(wrong)).toBe(false);
    }
    expect(isStatus({ ...makeStatus(), [key]: null })).toBe(nullable.includes(key));
  });

  test.each([
    ["a state that there is not", { state: "asleep" }],
    ["an invalid time", { since: "yesterday" }],
    ["drafting without its counts", { drafting: { state: "on" } }],
    ["a speedup without its interval", { draftingSpeedup: { ratio: 1, draftTokens: 200, verdict: "unknown" } }],
    ["an unknown verdict", { draftingSpeedup: { ...makeStatus().draftingSpeedup, verdict: "maybe" } }],
    ["a pid that is no whole number", { pid: 1.5 }],
    ["a pid of a group", { pid: -1 }],
  ])("with %s", (_, more) => {
    expect(isStatus({ ...makeStatus(), ...more })).toBe(false);
  });
});

test("an endless chain of fixes is refused", () => {
  const text = `{"message":"m","fix":${'{"run":[],"or":'.repeat(100_000)}"x"${"}".repeat(100_000)}}`;
  expect(isRefusal(JSON.parse(text))).toBe(false);
});
