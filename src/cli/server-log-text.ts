import { open } from "node:fs/promises";
import { systemErrorCode } from "../base/errors.ts";

const tailBytes = 64 * 1024;
const runMarker = /^--- llmctl: run /;

/** The last lines of the newest run in a server's log, from its last 64 KiB. @returns nothing when there is no log. */
export async function readLastRun(path: string, count: number): Promise<readonly string[]> {
  const lines = await readTail(path);
  const start = lines.findLastIndex((line) => runMarker.test(line));
  return lines.slice(start + 1).slice(-count);
}

/** The last lines of a log, from its last 64 KiB, without a first line that is cut. @returns nothing when there is no log. */
export async function readTail(path: string): Promise<readonly string[]> {
  try {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      const from = Math.max(0, size - tailBytes);
      const { bytesRead, buffer } = await file.read(Buffer.alloc(tailBytes), 0, tailBytes, from);
      const lines = buffer.toString("utf8", 0, bytesRead).split("\n");
      if (from > 0) lines.shift();
      if (lines.at(-1) === "") lines.pop();
      return lines;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return [];
    throw error;
  }
}

/** Makes a line of a server harmless for a terminal: control bytes, which could move the cursor or change its title, are shown. */
export function escapeControls(line: string): string {
  // oxlint-disable-next-line no-control-regex -- control bytes are what this is about
  return line.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
