import { constants } from "node:fs";
import { readFile, rm, type FileHandle } from "node:fs/promises";
import { systemErrorCode } from "../base/errors.ts";
import { addRange, type ByteRange } from "./byte-ranges.ts";
import { openCacheFile } from "./cache-folder.ts";

/** Which bytes of an unfinished blob are on disk, and the strong ETag that the server gave for them. */
export interface Recorded {
  readonly ranges: readonly ByteRange[];
  readonly etag: string | undefined;
}

export const emptyRecord: Recorded = { ranges: [], etag: undefined };

/** A header value that `fetch` would refuse counts as none. A weak ETag must not be sent in If-Range (RFC 9110, 13.1.5). */
const strongEtag = /^"[\x21\x23-\x7e]*"$/;

function recordPath(blobPath: string): string {
  return `${blobPath}.llmctl.ranges`;
}

/** Reads the record of an unfinished blob; of a blob without one it is empty. */
export async function readRecord(blobPath: string, sizeBytes: number): Promise<Recorded> {
  try {
    return parseRecord(await readFile(recordPath(blobPath), "utf8"), sizeBytes);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return emptyRecord;
    throw error;
  }
}

/**
 * @param text Lines `START END` and `etag "…"`. What is unreadable does not count: a line may be cut off where a process was killed or the disk
 * was full. Cut off in its last number it names less than was there, never more.
 */
export function parseRecord(text: string, sizeBytes: number): Recorded {
  let recorded = emptyRecord;
  for (const line of text.split("\n")) {
    const [, first, second] = /^(\d+|etag) (\S+)$/.exec(line) ?? [];
    const range = { start: Number(first), end: Number(second) };
    if (first === "etag" && strongEtag.test(second ?? "")) recorded = { ...recorded, etag: second };
    if (range.start < range.end && range.end <= sizeBytes) recorded = { ...recorded, ranges: addRange(recorded.ranges, range) };
  }
  return recorded;
}

/** The record of a blob that this process downloads; only one may. */
export class PartRecord {
  readonly #file: FileHandle;
  readonly #blobPath: string;
  #recorded: Recorded;

  private constructor(file: FileHandle, blobPath: string, recorded: Recorded) {
    this.#file = file;
    this.#blobPath = blobPath;
    this.#recorded = recorded;
  }

  /** @param recorded What {@link readRecord} found, or nothing to start over. */
  static async open(blobPath: string, recorded: Recorded): Promise<PartRecord> {
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT;
    const record = new PartRecord(await openCacheFile(recordPath(blobPath), flags), blobPath, recorded);
    if (recorded === emptyRecord) await record.clear();
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
    await rm(recordPath(this.#blobPath), { force: true });
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** In front of each line is a new one: what was cut off before must not run into it. */
  async #add(line: string): Promise<void> {
    await this.#file.appendFile(`\n${line}`);
  }
}
