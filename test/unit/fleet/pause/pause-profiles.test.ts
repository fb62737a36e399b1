import { expect, test } from "vitest";
import type { Paths } from "../../../../src/base/files/paths.ts";
import { stopAll } from "../../../../src/fleet/pause/pause-profiles.ts";
import type { StopEvent } from "../../../../src/fleet/stop-profiles.ts";

const stopped: StopEvent = { kind: "stopped", name: "a", found: { kind: "supervisor" } };

/** Stops two profiles with these events. */
async function stopWith(events: readonly StopEvent[]): Promise<readonly StopEvent[]> {
  const told: StopEvent[] = [];
  await stopAll(["a", "b"], { paths: {} as Paths, onStop: (event) => told.push(event) }, async (_, { onEvent }) => {
    for (const event of events) onEvent(event);
    return 1;
  });
  return told;
}

test("a pause fails where one of several profiles goes on running", async () => {
  const error = new Error("it does not answer");
  await expect(stopWith([stopped, { kind: "error", error }])).rejects.toBe(error);
});

test("a pause tells what it has stopped", async () => {
  expect(await stopWith([stopped])).toEqual([stopped]);
});
