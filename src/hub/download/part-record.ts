import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { systemErrorCode } from "../../base/errors.ts";
import { nodeFiles, type FileOperations } from "../../base/files/file-operations.ts";
import { readBounded } from "../../base/files/read-bounded.ts";
import { addRange, joinRanges, type ByteRange } from "../http/byte-ranges.ts";
import { openCacheFile } from "../find/cache-folder.ts";

/** Which bytes of an unfinished blob are on disk, and the strong ETag that the server gave for them. */
export interface Recorded {
  readonly ranges: readonly ByteRange[];
  readonly etag: string | undefined;
}

export const emptyRecord: Recorded = { ranges: [], etag: undefined };

/**
 * The ETags that may be sent in If-Range: valid as a header value, and not weak (RFC 9110, 13.1.5).
 */
const strongEtag = /^"[\x21\x23-\x7e]*"$/;

/**
 * The largest file on the Hub has 500 GB. With a line for each half megabyte its record has 30 MB, and about ten ranges
 * that are apart, one for each connection of each run. A larger record is not from llmctl and counts as empty.
 */
const recordLimits = { bytes: 32 << 20, lines: 1_500_000, ranges: 10_000 };

function recordPath(blobPath: string): string {
  return `${blobPath}.llmctl.ranges`;
}

/** Reads the record of an unfinished blob; it is empty when there is no file. */
export async function readRecord(blobPath: string, sizeBytes: number): Promise<Recorded> {
  try {
    return parseRecord((await readBounded(recordPath(blobPath), recordLimits.bytes)) ?? "", sizeBytes);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return emptyRecord;
    throw error;
  }
}

/**
 * @param text Lines `START END` and `etag "…"`. Unreadable lines are ignored: a killed process or a full disk cuts
 *   lines off. A line that is cut in its last number names fewer bytes than there are, never more.
 */
export function parseRecord(
  text: string,
  sizeBytes: number,
  limits: { readonly lines: number; readonly ranges: number } = recordLimits,
): Recorded {
  let etag: string | undefined;
  let ranges: ByteRange[] = [];
  let left = limits.lines;
  for (const line of eachLine(text)) {
    left -= 1;
    if (left < 0) return emptyRecord;
    const [, first, second] = /^(\d{1,16}|etag) (\S+)$/.exec(line) ?? [];
    const range = { start: Number(first), end: Number(second) };
    if (first === "etag" && strongEtag.test(second ?? "")) etag = second;
    if (!(range.start < range.end && range.end <= sizeBytes)) continue;
    ranges.push(range);
    if (ranges.length < 2 * limits.ranges) continue;
    ranges = joinRanges(ranges);
    if (ranges.length > limits.ranges) return emptyRecord;
  }
  return { etag, ranges: joinRanges(ranges) };
}

/** `split` would create millions of strings at once. */
function* eachLine(text: string): Generator<string> {
  for (let start = 0; start <= text.length;) {
    const end = text.indexOf("\n", start);
    yield text.slice(start, end === -1 ? text.length : end);
    start = end === -1 ? text.length + 1 : end + 1;
  }
}

/** The record of a blob that this process downloads. Only one process may have it open. */
export class PartRecord {
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #files: FileOperations;
  #recorded: Recorded = emptyRecord;

  private constructor(file: FileHandle, path: string, files: FileOperations) {
    this.#file = file;
    this.#path = path;
    this.#files = files;
  }

  /** @param recorded What {@link readRecord} found, or nothing to start over. */
  static async open(blobPath: string, recorded: Recorded, files: FileOperations = nodeFiles): Promise<PartRecord> {
    const path = recordPath(blobPath);
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT;
    const record = new PartRecord(await openCacheFile(path, flags, files), path, files);
    try {
      if (recorded === emptyRecord) await record.clear();
    } catch (error) {
      await record.close();
      throw error;
    }
    record.#recorded = recorded;
    return record;
  }

  get ranges(): readonly ByteRange[] {
    return this.#recorded.ranges;
  }

  get etag(): string | undefined {
    return this.#recorded.etag;
  }

  /** Notes bytes that have been written. */
  async addRange(range: ByteRange): Promise<void> {
    await this.#add(`${range.start} ${range.end}`);
    this.#recorded = { ...this.#recorded, ranges: addRange(this.#recorded.ranges, range) };
  }

  async setEtag(etag: string | null): Promise<void> {
    if (etag === null || !strongEtag.test(etag)) return;
    await this.#add(`etag ${etag}`);
    this.#recorded = { ...this.#recorded, etag };
  }

  async clear(): Promise<void> {
    await this.#file.truncate(0);
    this.#recorded = emptyRecord;
  }

  async remove(): Promise<void> {
    await this.#files.rm(this.#path, { force: true });
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** Each line begins with a line break, so that it does not run into one that was cut off. */
  async #add(line: string): Promise<void> {
    await this.#file.appendFile(`\n${line}`);
  }
}
