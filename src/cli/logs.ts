import { watch } from "node:fs";
import { open, stat } from "node:fs/promises";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import { findPaths } from "../base/paths.ts";
import { escapeControls, readTail } from "./server-log-text.ts";

interface LogsOptions {
  readonly follow: boolean;
  readonly lines: number;
}

/** Looked at even where no change was reported: a watch may miss a rotation. */
const lookEveryMs = 1000;
/** A line longer than this is printed in parts. */
const longestLineBytes = 64 * 1024;

/** Prints the end of a server's log, and with `follow` what comes; needs no supervisor. @throws LlmctlError `no-log`. */
export async function logs(name: string, { follow, lines }: LogsOptions): Promise<number> {
  const path = join(findPaths().state, name, "server.log");
  const size = await sizeOf(path);
  if (size === undefined) {
    throw new LlmctlError("no-log", `"${name}" has no log`, {
      exit: "missingFile",
      at: path,
      fix: `it has never run; start it: llmctl up ${name}`,
    });
  }
  const tail = await readTail(path);
  for (const line of tail.slice(Math.max(0, tail.length - lines))) printLine(line);
  if (follow) await followFile(path, size, interrupted());
  return 0;
}

/** Prints what is appended, from an offset in bytes on; a file that became shorter was rotated and is read from its start. */
async function followFile(path: string, from: number, signal: AbortSignal): Promise<void> {
  let offset = from;
  let partial = "";
  const watcher = watch(path, { signal });
  watcher.on("error", () => watcher.close()); // the timer goes on looking
  while (!signal.aborted) {
    const size = (await sizeOf(path)) ?? 0;
    if (size < offset) offset = 0;
    if (size > offset) {
      const text = await readFrom(path, offset);
      offset += text.length;
      const lines = (partial + text.toString("latin1")).split("\n");
      partial = lines.pop() ?? "";
      for (const line of lines) printLine(fromBytes(line));
      if (partial.length > longestLineBytes) {
        printLine(fromBytes(partial));
        partial = "";
      }
    } else {
      await changeOrTimeout(watcher, signal);
    }
  }
}

/** Lines are cut as bytes, so that a character cut by a read is whole again. */
function fromBytes(latin1: string): string {
  return Buffer.from(latin1, "latin1").toString("utf8");
}

async function changeOrTimeout(watcher: NodeJS.EventEmitter, signal: AbortSignal): Promise<void> {
  const either = new AbortController();
  const options = { signal: AbortSignal.any([signal, either.signal]) };
  await Promise.race([once(watcher, "change", options), sleep(lookEveryMs, undefined, options)]).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
  either.abort();
}

async function readFrom(path: string, offset: number): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(longestLineBytes), 0, longestLineBytes, offset);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT" || systemErrorCode(error) === "ENOTDIR") return undefined;
    throw error;
  }
}

function printLine(line: string): void {
  process.stdout.write(`${process.stdout.isTTY ? escapeControls(line) : line}\n`);
}

/** Aborted by Ctrl-C, and when the reader of our output is gone. */
function interrupted(): AbortSignal {
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort());
  process.once("SIGTERM", () => controller.abort());
  process.stdout.once("error", () => controller.abort());
  return controller.signal;
}
