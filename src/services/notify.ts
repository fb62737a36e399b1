import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Env } from "../base/environment.ts";
import { LlmctlError } from "../base/errors.ts";
import { printableSentence } from "../base/text/printable.ts";

/** Sends one message of `KEY=VALUE` fields to the service manager; rejects when it cannot be delivered. */
type SendNotification = (fields: readonly string[]) => Promise<void>;

/**
 * Reports the state of this process to systemd. No method throws or must be awaited. Messages are sent one at a time,
 * in the order of the calls. Calls during a message are merged into the next one, with the latest value of each field.
 */
export interface Notifier {
  /** Interval at which `pingWatchdog` must be called, in milliseconds; undefined without a watchdog. */
  readonly watchdogIntervalMs: number | undefined;
  /** The server can take requests; a unit of `Type=notify` counts as started. */
  readonly ready: () => void;
  /** Sets the line that `systemctl status` shows. */
  readonly status: (text: string) => void;
  readonly pingWatchdog: () => void;
  /** Extends the timeout of a start or stop to this many milliseconds from now. */
  readonly extendTimeout: (ms: number) => void;
  /** Resolves when all messages have been sent or have failed; await it before the process ends. */
  readonly flush: () => Promise<void>;
}

interface NotifierOptions {
  /** Called for the first failure only; supervision goes on without notifications. */
  readonly onFailure: (error: LlmctlError) => void;
  /** Replaces the `systemd-notify` tool. */
  readonly send?: SendNotification;
  /** Time limit of one message: while the tool hangs, the watchdog gets no pings. */
  readonly sendLimitMs?: number;
  readonly pid?: number;
}

/**
 * Whether a service manager has started this process and waits for readiness, so that nobody watches. With a terminal
 * it is false: a desktop that is itself a service may pass its NOTIFY_SOCKET to terminals.
 */
export function isService(env: Env, hasTerminal: boolean = process.stdout.isTTY): boolean {
  return Boolean(env["NOTIFY_SOCKET"]) && !hasTerminal;
}

/** A notifier for the manager in `NOTIFY_SOCKET`; without one, a notifier that does nothing. */
export function createNotifier(env: Env, options: NotifierOptions): Notifier {
  const socket = env["NOTIFY_SOCKET"];
  if (!socket) return silentNotifier;
  const { send = sendWithTool(socket, env["PATH"], options.sendLimitMs ?? 10_000) } = options;
  const queue = new NotificationQueue(send, options.onFailure);
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
 * A third of the watchdog's time, so that two pings may be late. `WATCHDOG_PID` may name another process of the unit.
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
    // Merges calls of the same tick.
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
    // The message is the failed command, then the tool's output, whose last line is the reason.
    const why = String(cause instanceof Error ? cause.message : cause)
      .trim()
      .split("\n")
      .at(-1);
    this.#onFailure(
      new LlmctlError("notify-failed", `cannot report the state to systemd: ${why}`, {
        exit: "unavailable",
        fix: 'install the "systemd-notify" tool, and keep NotifyAccess=all in the unit',
        cause,
      }),
    );
  }
}

/**
 * Sends with `systemd-notify`, as Node cannot send the datagram. The tool waits until the manager has read the message:
 * the manager looks up the sender's unit by its process, and drops the message when that process is gone.
 */
function sendWithTool(socket: string, path: string | undefined, timeout: number): SendNotification {
  const run = promisify(execFile);
  const env = { NOTIFY_SOCKET: socket, ...(path === undefined ? {} : { PATH: path }) };
  return async (fields) => {
    await run("systemd-notify", fields, { env, timeout });
  };
}
