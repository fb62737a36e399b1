import { expect, test } from "vitest";
import { drain } from "../../../../src/supervisor/child/drain.ts";
import { FakeClock } from "../../../support/fake-clock.ts";

/** @returns how long a drain takes with these answers, of which the last is repeated, and how often it said so. */
async function drainWith(answers: boolean[], abortAfterMs?: number) {
  const clock = new FakeClock();
  const startMs = clock.nowMs();
  const gone = new AbortController();
  if (abortAfterMs !== undefined) clock.setTimer(abortAfterMs, () => gone.abort());
  let told = 0;
  const isBusy = async () => (answers.length > 1 ? answers.shift() : answers[0]) ?? false;
  await clock.until(drain(isBusy, () => void (told += 1), { signal: gone.signal, clock }));
  return { ms: clock.nowMs() - startMs, told };
}

test.each([
  ["an idle server is not waited for", [false], { ms: 0, told: 0 }],
  ["a busy one is, until it is idle twice in a row", [true, true, false, true, false], { ms: 125, told: 1 }],
  [
    "one idle answer is not enough: a queued request may just be moving",
    [true, false, true, false],
    { ms: 100, told: 1 },
  ],
])("%s", async (_, answers, expected) => {
  expect(await drainWith(answers)).toEqual(expected);
});

test("a server that is gone is not waited for any longer", async () => {
  expect(await drainWith([true], 60)).toEqual({ ms: 75, told: 1 });
});
