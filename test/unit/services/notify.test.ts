import { describe, expect, test } from "vitest";
import type { LlmctlError } from "../../../src/base/errors.ts";
import { createNotifier } from "../../../src/services/notify.ts";

const env = { NOTIFY_SOCKET: "/run/systemd/notify" };

/** A manager that records messages and accepts each one only when told to. */
function makeManager() {
  const messages: (readonly string[])[] = [];
  const failures: LlmctlError[] = [];
  const pending: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  const send = (fields: readonly string[]) => {
    messages.push(fields);
    return new Promise<void>((resolve, reject) => pending.push({ resolve, reject }));
  };
  const settle = async (how: (one: (typeof pending)[number]) => void) => {
    await nextTurn();
    for (const one of pending.splice(0)) how(one);
    await nextTurn();
  };
  return {
    messages,
    failures,
    notifier: createNotifier(env, { send, onFailure: (error) => failures.push(error) }),
    take: () => settle(({ resolve }) => resolve()),
    refuse: (message: string) => settle(({ reject }) => reject(new Error(message))),
  };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const options = { onFailure: () => {}, send: () => Promise.resolve() };

describe("createNotifier", () => {
  test("sends related fields as one message", async () => {
    const { notifier, messages, take } = makeManager();
    notifier.status("ready on http://127.0.0.1:8001");
    notifier.ready();
    await take();
    expect(messages).toEqual([["STATUS=ready on http://127.0.0.1:8001", "READY=1"]]);
  });

  test("sends one message at a time, and only the latest of many statuses", async () => {
    const { notifier, messages, take } = makeManager();
    notifier.status("loading");
    await nextTurn();
    notifier.status("loading 40 %");
    notifier.pingWatchdog();
    notifier.status("loading 80 %");
    expect(messages).toEqual([["STATUS=loading"]]);
    await take();
    expect(messages).toEqual([["STATUS=loading"], ["STATUS=loading 80 %", "WATCHDOG=1"]]);
  });

  test("extends the timeout in microseconds", async () => {
    const { notifier, messages, take } = makeManager();
    notifier.extendTimeout(30_000.4);
    await take();
    expect(messages).toEqual([["EXTEND_TIMEOUT_USEC=30000400"]]);
  });

  test("keeps a status on one line, so that it cannot hold another field", async () => {
    const { notifier, messages, take } = makeManager();
    notifier.status("failed:\nREADY=1\n");
    await take();
    expect(messages).toEqual([["STATUS=failed: READY=1"]]);
  });

  test("flush resolves when everything has been sent", async () => {
    const { notifier, messages, take } = makeManager();
    notifier.ready();
    await nextTurn();
    notifier.status("stopping");
    let isFlushed = false;
    const flushed = notifier.flush().then(() => (isFlushed = true));
    await take();
    expect(isFlushed).toBe(false);
    await take();
    await flushed;
    expect(messages).toEqual([["READY=1"], ["STATUS=stopping"]]);
  });

  test("reports the first failure once, with the tool's error, and goes on", async () => {
    const { notifier, messages, failures, refuse, take } = makeManager();
    notifier.ready();
    await refuse("Command failed: systemd-notify READY=1\nFailed to notify init system: No such file or directory\n");
    notifier.status("stopping");
    await refuse("again");
    notifier.status("stopped");
    await take();
    expect(failures.map((error) => error.message)).toEqual([
      "cannot report the state to systemd: Failed to notify init system: No such file or directory",
    ]);
    expect(messages).toHaveLength(3);
  });

  test("does nothing without a manager", async () => {
    const sent: (readonly string[])[] = [];
    const send = async (fields: readonly string[]) => void sent.push(fields);
    const notifier = createNotifier({ WATCHDOG_USEC: "60000000" }, { ...options, send });
    notifier.ready();
    notifier.status("ready");
    notifier.extendTimeout(1000);
    notifier.pingWatchdog();
    await notifier.flush();
    expect(sent).toEqual([]);
    expect(notifier.watchdogIntervalMs).toBeUndefined();
  });

  test.each([
    ["a third of its time", { WATCHDOG_USEC: "60000000" }, 20_000],
    ["a third of its time, when it is for this process", { WATCHDOG_USEC: "60000000", WATCHDOG_PID: "7" }, 20_000],
    ["never, when it is for another process", { WATCHDOG_USEC: "60000000", WATCHDOG_PID: "8" }, undefined],
    ["never, without one", {}, undefined],
    ["never, when its time cannot be read", { WATCHDOG_USEC: "soon" }, undefined],
  ])("pings the watchdog every: %s", (_, watchdog, expected) => {
    expect(createNotifier({ ...env, ...watchdog }, { ...options, pid: 7 }).watchdogIntervalMs).toBe(expected);
  });
});
