import type { Socket } from "node:net";
import { WriteStream } from "node:tty";
import { isSystemError } from "../../base/errors.ts";

/**
 * The most output that waits for a reader that does not read: some hundred lines. Later lines are dropped; the event
 * log has them as well.
 */
const maxWaitingBytes = 1 << 16;
/** The time that a slow reader has for the last lines when everything else is done. */
const lastWordsMs = 1000;

/**
 * Makes the output of a supervisor unable to end it or to hold it up. The disk may be full, the reader or the terminal
 * gone; or the reader takes nothing (Ctrl-S, a frozen ssh, a pipe that nobody reads). The server has to go on in all of
 * these cases. Other commands fail in the first ones, and wait in the others.
 */
export function outliveOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.removeAllListeners("error");
    stream.on("error", (error) => {
      if (!isSystemError(error)) throw error;
    });
    neverWait(stream);
    dropUnread(stream);
  }
}

/** Ends the process once it has its exit code and only unread output keeps it. */
export function leaveUnread(): void {
  setInterval(() => {
    if (process.exitCode !== undefined) process.exit();
  }, lastWordsMs).unref();
}

/**
 * Node blocks while a terminal does not take its output. It usually has a descriptor of its own for the terminal, which
 * can be made non-blocking without a difference for other processes. Where it shares descriptor 1 or 2 with them, that
 * one stays as it is.
 */
function neverWait(stream: NodeJS.WriteStream): void {
  if (!(stream instanceof WriteStream)) return;
  const { _handle: handle } = stream as unknown as {
    readonly _handle?: { readonly fd: number; setBlocking(on: boolean): number };
  };
  if (handle !== undefined && handle.fd > 2) handle.setBlocking(false);
}

function dropUnread(stream: Socket): void {
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
  stream.write = (...args: unknown[]) => (stream.writableLength > maxWaitingBytes ? false : write(...args));
}

/** Whether this command was given a terminal, and not only started from one. */
export function hasTerminal(): boolean {
  return process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
}
