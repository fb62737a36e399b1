import { join } from "node:path";
import { LlmctlError } from "../base/errors.ts";
import { findPaths } from "../base/paths.ts";
import { followLog, statOrNone } from "./follow-log.ts";
import { escapeControls, readTail } from "./server-log-text.ts";

interface LogsOptions {
  readonly follow: boolean;
  readonly lines: number;
}

/** Prints the end of a server's log, and with `follow` what comes; needs no supervisor. @throws LlmctlError `no-log`. */
export async function logs(name: string, { follow, lines }: LogsOptions): Promise<number> {
  const path = join(findPaths().state, name, "server.log");
  const size = (await statOrNone(path))?.size;
  if (size === undefined) {
    throw new LlmctlError("no-log", `"${name}" has no log`, {
      exit: "missingFile",
      at: path,
      fix: `it has never run; start it: llmctl up ${name}`,
    });
  }
  for (const line of await readTail(path, lines, size)) printLine(line);
  if (follow) for await (const line of followLog(path, size, interrupted())) printLine(line);
  return 0;
}

function printLine(line: string): void {
  process.stdout.write(`${process.stdout.isTTY ? escapeControls(line) : line}\n`);
}

/** Aborted by Ctrl-C, and when the reader of our output is gone. */
export function interrupted(): AbortSignal {
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort());
  process.once("SIGTERM", () => controller.abort());
  process.stdout.once("error", () => controller.abort());
  return controller.signal;
}
