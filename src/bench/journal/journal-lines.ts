import { isMap, isText } from "../../base/text/check-shape.ts";
import { parseJsonOrNothing } from "../../base/text/parse-json.ts";
import type { Round } from "../measurement.ts";
import { isRound } from "../round-shape.ts";

/** Raised when a line changes its meaning. Lines of other versions are left alone and not read. */
const version = 1;

/** One line of a journal: a round, or the result of a stage of a tune under its name. */
export type JournalEntry = { readonly round: Round } | { readonly name: string; readonly value: unknown };

/** What a journal holds, and how much of it is whole. */
export interface JournalContent {
  readonly rounds: readonly Round[];
  /** The last value of each name. */
  readonly values: ReadonlyMap<string, unknown>;
  /** Where the next line goes: behind the last line that is ours, in bytes. */
  readonly end: number;
}

export function writeLine(entry: JournalEntry): string {
  return `${JSON.stringify({ version, ...entry })}\n`;
}

/**
 * Reads the lines of a journal. A crash leaves at most the last line torn, and a file system may fill it with
 * zeros: what follows the last whole line is not counted, and the next line takes its place.
 */
export function readJournalLines(bytes: Uint8Array): JournalContent {
  const rounds: Round[] = [];
  const values = new Map<string, unknown>();
  let end = 0;
  for (let start = 0; ;) {
    const lineEnd = bytes.indexOf(newline, start);
    if (lineEnd < 0) return { rounds, values, end };
    const entry = readLine(Buffer.from(bytes.subarray(start, lineEnd)).toString());
    start = lineEnd + 1;
    if (entry === "torn") continue;
    end = start;
    if (entry === "other-version") continue;
    if ("round" in entry) rounds.push(entry.round);
    else values.set(entry.name, entry.value);
  }
}

const newline = 0x0a;

/** A line that no reader would take back is too large, or not JSON. */
export function isReadable(line: string): boolean {
  return readLine(line) !== "torn";
}

function readLine(line: string): JournalEntry | "torn" | "other-version" {
  const parsed = parseJsonOrNothing(line);
  if (!isMap(parsed) || typeof parsed["version"] !== "number") return "torn";
  if (parsed["version"] !== version) return "other-version";
  const { round, name, value } = parsed;
  if (isRound(round)) return { round };
  return isText(name) && value !== undefined ? { name: String(name), value } : "torn";
}
