import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Env } from "../base/environment.ts";
import { LlmctlError } from "../base/errors.ts";
import { printableSentence } from "../base/text/printable.ts";

/** Sends one message of `KEY=VALUE` fields to the service manager; rejects when it could not be delivered. */
type SendNotification = (fields: readonly string[]) => Promise<void>;

/**
 * Tells systemd how this process does. Nothing here throws or has to be waited for; messages go out one at a time, in
 * the order of the calls, and what is asked for while one is under way goes out as one message in which the latest
 * value of a field wins.
 */
export interface Notifier {
  /** How often `pingWatchdog` must be called, in milliseconds; undefined when no watchdog waits for it. */
  readonly watchdogIntervalMs: number | undefined;
  /** The server can take requests; a unit of `Type=notify` counts as started. */
  readonly ready: () => void;
  /** One line that `systemctl status` shows. */
  readonly status: (text: string) => void;
  readonly pingWatchdog: () => void;
  /** Asks for this much time from now on, in milliseconds, before a start or a stop counts as timed out. */
  readonly extendTimeout: (ms: number) => void;
  /** Ends when all that was asked for has been sent or has failed; wait for it before the process ends. */
  readonly flush: () => Promise<void>;
}

interface NotifierOptions {
  /** Told about the first failure only; supervision goes on without notifications. */
  readonly onFailure: (error: LlmctlError) => void;
  /** In place of the `systemd-notify` tool. */
  readonly send?: SendNotification;
  readonly pid?: number;
}

/**
 * Whether a service manager has started this process and waits for it to be ready, so that nobody watches. A desktop
 * that is a service itself may leave its variable to the terminals that it starts.
 */
export function isService(env: Env, hasTerminal: boolean = process.stdout.isTTY): boolean {
  return Boolean(env["NOTIFY_SOCKET"]) && !hasTerminal;
}

/** A notifier for the manager that `NOTIFY_SOCKET` names; without one, a notifier that does nothing. */
export function createNotifier(env: Env, options: NotifierOptions): Notifier {
  const socket = env["NOTIFY_SOCKET"];
  if (!socket) return silentNotifier;
  const queue = new NotificationQueue(options.send ?? sendWithTool(socket, env["PATH"]), options.onFailure);
  return {
    watchdogIntervalMs: watchdogInterval(env, options.pid ?? process.pid),
    ready: () => queue.add("READY", "1"),
    status: (text) => queue.add("STATUS", printableSentence(text.replaceAll(/\s+/g, " ").trim())),
    pingWatchdog: () => queue.add("WATCHDOG", "1"),
    extendTimeout: (ms) => queue.add("EXTEND_TIMEOUT_USEC", String(Math.round(ms * 1000))),
    flush: () => queue.flush(),
  };
}

const silentNotifier: Notifier = {
  watchdogIntervalMs: undefined,
  ready: () => {},
  status: () => {},
  pingWatchdog: () => {},
  extendTimeout: () => {},
  flush: () => Promise.resolve(),
};

/**
 * A third of the watchdog's time: two pings may be late before the manager acts. `WATCHDOG_PID` may name another
 * process of the unit.
 */
function watchdogInterval(env: Env, pid: number): number | undefined {
  const usec = Number(env["WATCHDOG_USEC"]);
  const isForUs = env["WATCHDOG_PID"] === undefined || env["WATCHDOG_PID"] === String(pid);
  return isForUs && usec > 0 && Number.isFinite(usec) ? usec / 1000 / 3 : undefined;
}

class NotificationQueue {
  readonly #send: SendNotification;
  readonly #onFailure: (error: LlmctlError) => void;
  readonly #waiting = new Map<string, string>();
  #sending: Promise<void> | undefined;
  #hasFailed = false;

  constructor(send: SendNotification, onFailure: (error: LlmctlError) => void) {
    this.#send = send;
    this.#onFailure = onFailure;
  }

  add(field: string, value: string): void {
    this.#waiting.set(field, value);
    this.#sending ??= this.#sendAll();
  }

  async flush(): Promise<void> {
    await this.#sending;
  }

  async #sendAll(): Promise<void> {
    // Calls of the same turn go out together.
    await Promise.resolve();
    while (this.#waiting.size > 0) {
      const fields = [...this.#waiting].map(([field, value]) => `${field}=${value}`);
      this.#waiting.clear();
      try {
        await this.#send(fields);
      } catch (error) {
        this.#reportFailure(error);
      }
    }
    this.#sending = undefined;
  }

  #reportFailure(cause: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    // The tool's own words are the last line, below the command that failed.
    const why = String(cause instanceof Error ? cause.message : cause)
      .trim()
      .split("\n")
      .at(-1);
    this.#onFailure(
      new LlmctlError("notify-failed", `systemd could not be told the state: ${why}`, {
        exit: "unavailable",
        fix: 'install the "systemd-notify" tool, and keep NotifyAccess=all in the unit',
        cause,
      }),
    );
  }
}

/**
 * The tool waits until the manager has read the message. That wait is needed: the manager looks up the sender's unit by
 * its process, and drops a message whose sender is gone. Node cannot send the datagram itself.
 */
function sendWithTool(socket: string, path: string | undefined): SendNotification {
  const run = promisify(execFile);
  const env = { NOTIFY_SOCKET: socket, ...(path === undefined ? {} : { PATH: path }) };
  return async (fields) => {
    await run("systemd-notify", fields, { env, timeout: 10_000 });
  };
}
