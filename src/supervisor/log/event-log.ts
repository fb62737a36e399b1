import { closeSync, fstatSync, ftruncateSync } from "node:fs";
import { join } from "node:path";
import { printableLine } from "../../base/text/printable.ts";
import type { StateName, StatusEvent } from "../../control/messages.ts";
import { stateUnwritable } from "../state/file-lock.ts";
import { appendAll, openLogForAppending } from "./open-log-for-appending.ts";

/** Some ten thousand changes. */
const maxBytes = 1 << 20;

/** One line of a supervisor's own log: a change, or something that a person should know. */
export interface LoggedEvent {
  /** ISO 8601. */
  readonly time: string;
  /** Since that supervisor started, milliseconds. */
  readonly elapsedMs: number;
  readonly state: StateName;
  /** Kind of the cause, such as `killed`, where the server's end or our own decision led here. */
  readonly cause: string | null;
  readonly message: string;
}

/** Path of a profile's event log, absolute. */
export function eventLogPath(stateDir: string, name: string): string {
  return join(stateDir, name, "supervisor.log");
}

/** `TIME +SECONDS STATE CAUSE message`, with a dash for no cause. */
function formatLine({ time, elapsedMs, status, cause, message }: StatusEvent): string {
  return `${time} +${(elapsedMs / 1000).toFixed(3)} ${status.state} ${cause ?? "-"} ${toLine(message)}\n`;
}

/** A message as the event log holds it: people read that with tools that show all bytes to their terminal. */
export function toLine(message: string): string {
  return printableLine(message.replaceAll(/\s+/g, " "));
}

/**
 * Reads a line of the event log.
 * @returns undefined for any other line, such as a stack of our own or a line that was cut.
 */
export function parseEventLine(line: string): LoggedEvent | undefined {
  const match = /^(\d{4}-\S+Z) \+(\d{1,12}\.\d{3}) ([a-z]+) ([a-z0-9-]+) (.+)$/.exec(line);
  if (match === null) return undefined;
  const [, time = "", seconds, state, cause, message = ""] = match;
  return {
    time,
    elapsedMs: Math.round(Number(seconds) * 1000),
    state: state as StateName,
    cause: cause === "-" ? null : (cause ?? null),
    message,
  };
}

/**
 * The supervisor's own log, for people and for `llmctl events`; starts anew when it is large, or is not there any more.
 */
export class EventLog {
  readonly #path: string;
  readonly #onFailure: (text: string) => void;

  constructor(path: string, onFailure: (text: string) => void) {
    this.#path = path;
    this.#onFailure = onFailure;
  }

  append(event: StatusEvent): void {
    try {
      const fd = openLogForAppending(this.#path);
      try {
        if (fstatSync(fd).size > maxBytes) ftruncateSync(fd, 0);
        appendAll(fd, Buffer.from(formatLine(event)));
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      this.#onFailure(stateUnwritable(this.#path, error).message);
    }
  }
}
