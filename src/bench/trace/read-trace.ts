import { createReadStream } from "node:fs";
import { readLines } from "../../base/files/read-lines.ts";
import { type DraftTrace, DraftTraceParser } from "../../llama/server/draft-trace.ts";

/** Reads the drafts in a server's log. @returns undefined where the build does not log them. */
export async function readTrace(logPath: string): Promise<DraftTrace | undefined> {
  const parser = new DraftTraceParser();
  for await (const line of readLines(createReadStream(logPath))) parser.push(line);
  return parser.read();
}
