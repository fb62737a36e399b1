import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { LlmctlError } from "../../../src/base/errors.ts";
import { createNotifier, isService } from "../../../src/services/notify.ts";

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
    expect(failures.map(({ code, exit, message, fix }) => ({ code, exit, message, fix }))).toEqual([
      {
        code: "notify-failed",
        exit: "unavailable",
        message: "cannot report the state to systemd: Failed to notify init system: No such file or directory",
        fix: 'install the "systemd-notify" tool, and keep NotifyAccess=all in the unit',
      },
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

describe("the systemd-notify tool", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "llmctl-notify-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** @param script What the tool does, in place of systemd's. */
  async function notify(script: string, sendLimitMs?: number): Promise<LlmctlError[]> {
    const failures: LlmctlError[] = [];
    await writeFile(join(folder, "systemd-notify"), `#!/bin/sh\n${script}\n`);
    await chmod(join(folder, "systemd-notify"), 0o755);
    const limit = sendLimitMs === undefined ? {} : { sendLimitMs };
    const notifier = createNotifier(
      { ...env, PATH: folder, HF_TOKEN: "secret" },
      { onFailure: (error) => failures.push(error), ...limit },
    );
    notifier.ready();
    notifier.status("ready");
    await notifier.flush();
    return failures;
  }

  test("gets the socket and the fields, and no other variable", async () => {
    const saved = join(folder, "saved");
    expect(await notify(`/usr/bin/env > ${saved}; echo "$*" >> ${saved}`)).toEqual([]);
    const lines = (await readFile(saved, "utf8")).trimEnd().split("\n");
    expect(lines.filter((line) => !/^(?:PWD|SHLVL|OLDPWD|_)=/.test(line)).toSorted()).toEqual([
      "NOTIFY_SOCKET=/run/systemd/notify",
      `PATH=${folder}`,
      "READY=1 STATUS=ready",
    ]);
  });

  test("that hangs is given up, so that the next ping of the watchdog is sent", async () => {
    // It would end well after 5 s.
    expect(await notify("exec /bin/sleep 5", 20)).toEqual([expect.objectContaining({ code: "notify-failed" })]);
  });

  test("that is not installed is reported", async () => {
    const failures: LlmctlError[] = [];
    const notifier = createNotifier({ ...env, PATH: folder }, { onFailure: (error) => failures.push(error) });
    notifier.ready();
    await notifier.flush();
    expect(failures.map(({ message }) => message)).toEqual([
      "cannot report the state to systemd: spawn systemd-notify ENOENT",
    ]);
  });
});

test.each([
  ["with a manager's socket and no terminal", env, false, true],
  ["on a terminal of a desktop that is a service itself", env, true, false],
  ["without a socket", {}, false, false],
  ["with an empty socket", { NOTIFY_SOCKET: "" }, false, false],
])("is a service: %s", (_, given, hasTerminal, expected) => {
  expect(isService(given, hasTerminal)).toBe(expected);
});
