import type { Socket } from "node:net";
import { WriteStream } from "node:tty";
import { isSystemError } from "../../base/errors.ts";

/**
 * What waits for a reader that does not read: some hundred lines. What comes after that is lost to it; the event log
 * has it, too.
 */
const maxWaitingBytes = 1 << 16;
/** For what is still on its way to a reader when all is done. */
const lastWordsMs = 1000;

/**
 * What a supervisor prints may find no room, no reader and no terminal any more, or one that takes nothing (Ctrl-S, a
 * frozen ssh, a pipe that nobody reads): its server goes on. For other commands the first are failures, and the others
 * keep them waiting.
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

/** Ends the process once it has its exit code, where only unread output keeps it. */
export function leaveUnread(): void {
  setInterval(() => {
    if (process.exitCode !== undefined) process.exit();
  }, lastWordsMs).unref();
}

/**
 * Node writes to a terminal only as fast as that takes it, and does nothing else meanwhile. It has opened the terminal
 * for itself, so others who write to it see no difference; where that was not possible, what it has is the descriptor
 * of all of them, and stays as it is.
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

/** Whether a terminal that closes is one that this command was given, and not only the one it was started from. */
export function hasTerminal(): boolean {
  return process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
}
