import type { FileHandle } from "node:fs/promises";
import { maxSentenceLength, printable, shorten } from "../../base/text/printable.ts";
import { openLogForReading } from "./open-log-for-reading.ts";

/** Read at a time, from the end backwards. */
const chunkBytes = 64 * 1024;
/** No more of a log is ever held in memory, however many lines are asked for. */
const mostBytes = 16 << 20;
const newline = 0x0a;
const runMarker = /^--- llmctl: run /;

/** The last lines of the newest run in a server's log. @returns nothing when there is no log. */
export async function readLastRun(path: string, count: number): Promise<readonly string[]> {
  const lines = await readTail(path, count + 1);
  const start = lines.findLastIndex((line) => runMarker.test(line));
  return lines.slice(start + 1).slice(-count);
}

/**
 * The last lines of a log, of its last 16 MiB at the most.
 * @param end Where the log is taken to end, in bytes; its size unless told.
 * @returns nothing when there is no log.
 */
export async function readTail(path: string, count: number, end = Infinity): Promise<readonly string[]> {
  if (count === 0) return [];
  const file = await openLogForReading(path);
  if (file === undefined) return [];
  try {
    return await readBackwards(file, count, Math.min(end, (await file.stat()).size));
  } finally {
    await file.close();
  }
}

async function readBackwards(file: FileHandle, count: number, end: number): Promise<readonly string[]> {
  const chunks: Buffer[] = [];
  let from = end;
  // Counted piece by piece: to put all together each time would take minutes for a line of many megabytes.
  let newlines = 0;
  while (from > 0 && end - from < mostBytes && newlines <= count) {
    const length = Math.min(from, chunkBytes);
    from -= length;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, from);
    const chunk = buffer.subarray(0, bytesRead);
    chunks.unshift(chunk);
    newlines += chunk.reduce((sum, byte) => (byte === newline ? sum + 1 : sum), 0);
  }
  const lines = Buffer.concat(chunks).toString("utf8").split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines.slice(-count);
}

/** A line of a server's log below our own text, where one of many megabytes would push that away. */
export function quoteLogLine(line: string): string {
  return `  | ${printable(shorten(line, maxSentenceLength))}\n`;
}
