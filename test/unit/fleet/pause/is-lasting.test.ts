import { expect, test } from "vitest";
import type { Paths } from "../../../../src/base/files/paths.ts";
import type { StateName } from "../../../../src/control/messages.ts";
import { isLasting } from "../../../../src/fleet/pause/is-lasting.ts";

/** Each look finds the next state; undefined: no supervisor runs. */
async function look(...states: readonly (StateName | undefined)[]) {
  const left = [...states];
  let sleeps = 0;
  const lasting = await isLasting("a", {
    paths: {} as Paths,
    find: async () => {
      const state = left.shift();
      return state === undefined ? undefined : { status: { state } };
    },
    clock: { sleep: async () => void (sleeps += 1) },
  });
  return { lasting, sleeps };
}

test("a server that is being stopped does not count as running, however long it drains", async () => {
  expect(await look("stopping", "stopping", "killing", "stopped", undefined)).toEqual({ lasting: false, sleeps: 4 });
});

test("one that is stopped for a restart goes on", async () => {
  expect(await look("stopping", "preflight")).toEqual({ lasting: true, sleeps: 1 });
});

test.each<StateName>(["ready", "loading", "backoff", "unhealthy"])("one that is %s goes on", async (state) => {
  expect(await look(state)).toEqual({ lasting: true, sleeps: 0 });
});

test("none runs where no supervisor answers", async () => {
  expect(await look(undefined)).toEqual({ lasting: false, sleeps: 0 });
});
