import { isSystemError } from "../base/errors.ts";

/** What a supervisor prints may find no room, no reader and no terminal any more: its server goes on. For other commands that is a failure. */
export function outliveOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.removeAllListeners("error");
    stream.on("error", (error) => {
      if (!isSystemError(error)) throw error;
    });
  }
}
