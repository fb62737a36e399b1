import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { StateName, Status, StatusEvent } from "../../../src/control/messages.ts";
import { EventQueue } from "../../../src/supervisor/event-queue.ts";

let told: string[];
let queue: EventQueue;

beforeEach(() => {
  vi.useFakeTimers();
  told = [];
  queue = new EventQueue(({ message }) => told.push(message));
});
afterEach(() => {
  vi.useRealTimers();
});

function add(...states: readonly StateName[]): void {
  for (const state of states) queue.add(event(state));
}

function event(state: StateName): StatusEvent {
  return { time: "2026-01-01T00:00:00.000Z", elapsedMs: 0, message: state, cause: null, status: { state } as Status };
}

test("events of a start are delivered after the step, in order", () => {
  add("preflight", "starting", "loading");
  expect(told).toEqual([]);
  vi.runAllTimers();
  expect(told).toEqual(["preflight", "starting", "loading"]);
  add("proving");
  vi.runAllTimers();
  expect(told).toEqual(["preflight", "starting", "loading", "proving"]);
});

test.each<StateName>(["ready", "unhealthy", "backoff", "stopping", "killing", "stuck", "stopped", "failed"])(
  "%s is delivered at once, after the waiting events, and no event is delivered twice",
  (state) => {
    add("preflight", state);
    expect(told).toEqual(["preflight", state]);
    vi.runAllTimers();
    expect(told).toEqual(["preflight", state]);
  },
);

test("a new reader gets no event twice", () => {
  add("preflight", "starting");
  queue.flush();
  expect(told).toEqual(["preflight", "starting"]);
  vi.runAllTimers();
  expect(told).toEqual(["preflight", "starting"]);
});

test("an event that a delivery causes is delivered after it", () => {
  queue = new EventQueue(({ message }) => {
    told.push(message);
    if (message === "starting") add("backoff");
  });
  add("starting", "loading");
  vi.runAllTimers();
  expect(told).toEqual(["starting", "loading", "backoff"]);
});
