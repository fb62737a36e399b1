import { expect, test } from "vitest";
import { LlmctlError } from "../../../src/base/errors.ts";
import { NewestStates } from "../../../src/fleet/newest-states.ts";
import type { ProfileState } from "../../../src/supervisor/state/profile-states.ts";
import { makeStatus } from "../../support/make-status.ts";

function makeState(name: string, more: Partial<ProfileState> = {}): ProfileState {
  return { name, presence: "live", status: makeStatus({ name }), ...more };
}

function opened(): NewestStates {
  const newest = new NewestStates();
  newest.open();
  return newest;
}

test("nothing is read before the first states are known; then all are read at once", async () => {
  const newest = new NewestStates();
  newest.put(makeState("b"));
  const first = newest.read();
  newest.put(makeState("a"));
  newest.open();
  const change = await first;
  expect(change?.states.map(({ name }) => name)).toEqual(["a", "b"]);
});

test("the first change arrives even when there is no profile", async () => {
  expect(await opened().read()).toEqual({ states: [], forgotten: [] });
});

test("a slow reader gets the newest state of each profile, once", async () => {
  const newest = opened();
  await newest.read();
  for (let restarts = 0; restarts < 1000; restarts += 1) {
    newest.put(makeState("a", { status: makeStatus({ name: "a", restarts }) }));
  }
  newest.put(makeState("b"));
  const change = await newest.read();
  expect(change?.states.map(({ name, status }) => [name, status.restarts])).toEqual([
    ["a", 999],
    ["b", makeStatus().restarts],
  ]);
});

test("an equal state is no change", async () => {
  const error = () => new LlmctlError("unresponsive", "it does not answer", { exit: "failed" });
  const newest = opened();
  expect(newest.put(makeState("a", { presence: "unresponsive", error: error() }))).toBe(true);
  expect(newest.put(makeState("a", { presence: "unresponsive", error: error() }))).toBe(false);
  expect(newest.put(makeState("a"))).toBe(true);
});

test("a forgotten profile is reported once, and only if it was reported before", async () => {
  const newest = opened();
  newest.put(makeState("a"));
  await newest.read();
  newest.forget("a");
  newest.forget("a");
  newest.forget("never");
  expect(await newest.read()).toEqual({ states: [], forgotten: ["a"] });
});

test("a profile that is created again before the next read is a state, not a forgotten profile", async () => {
  const newest = opened();
  newest.put(makeState("a"));
  await newest.read();
  newest.forget("a");
  newest.put(makeState("a"));
  expect(await newest.read()).toEqual({ states: [makeState("a")], forgotten: [] });
});

test("an error of the folder is reported when it appears and when it is gone", async () => {
  const newest = opened();
  await newest.read();
  const error = new LlmctlError("state-unreadable", "cannot read", { exit: "permission" });
  newest.refuse(error);
  newest.refuse(error);
  expect(await newest.read()).toEqual({ states: [], forgotten: [], error });
  newest.refuse(undefined);
  expect(await newest.read()).toEqual({ states: [], forgotten: [] });
});

test("a reader that waits sees the end, and the error of the end", async () => {
  const newest = new NewestStates();
  const waiting = newest.read();
  newest.end();
  expect(await waiting).toBeUndefined();
  const broken = new NewestStates();
  const failing = broken.read();
  broken.end({ error: new Error("a bug") });
  await expect(failing).rejects.toThrow("a bug");
});
