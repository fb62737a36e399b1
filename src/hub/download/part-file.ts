import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { syncFolder } from "../../base/files/atomic-write.ts";
import { systemErrorCode } from "../../base/errors.ts";
import { nodeFiles, type FileOperations } from "../../base/files/file-operations.ts";
import { countBytes, listGaps, type ByteRange } from "../http/byte-ranges.ts";
import { makeCacheFolder, openCacheFile } from "../find/cache-folder.ts";
import { emptyRecord, PartRecord, readRecord } from "./part-record.ts";
import type { RemoteFile } from "../http/remote-file.ts";
import { RunningDigest } from "./running-digest.ts";

/** The first bytes of every GGUF file. */
export const ggufMagic = Buffer.from("GGUF");

/** llmctl's own name: the Python client's `.incomplete` files may have holes, and are not touched. */
export function partPath(blobPath: string): string {
  return `${blobPath}.llmctl.incomplete`;
}

/**
 * An unfinished download: a file beside the blob that is written in any order, a record of the bytes that are on disk,
 * and a digest that follows the writing. A lock makes sure that only one process has it open.
 */
export class PartFile {
  readonly #file: FileHandle;
  readonly #record: PartRecord;
  readonly #blobPath: string;
  readonly #of: RemoteFile;
  readonly #files: FileOperations;
  #digest: RunningDigest;
  #doneBytes: number;

  private constructor({ file, record, blobPath, of, files }: OpenPart) {
    this.#file = file;
    this.#record = record;
    this.#blobPath = blobPath;
    this.#of = of;
    this.#files = files;
    this.#doneBytes = countBytes(record.ranges);
    this.#digest = new RunningDigest(file, of);
    this.#advanceDigest();
  }

  /** Opens the part of a blob: a new one, or the one of an earlier run, whose first bytes are then hashed again. */
  static async open(blobPath: string, of: RemoteFile, files: FileOperations = nodeFiles): Promise<PartFile> {
    await makeCacheFolder(dirname(blobPath));
    const { file, isNew } = await openOrCreate(partPath(blobPath), files);
    try {
      // A record may outlive its part. It does not count for a new part, or for one that was cut off.
      const recorded = isNew ? emptyRecord : await readRecord(blobPath, of.sizeBytes);
      const { size } = await file.stat();
      const isWhole = (recorded.ranges.at(-1)?.end ?? 0) <= size && size <= of.sizeBytes;
      if (!isWhole) await file.truncate(0);
      const record = await PartRecord.open(blobPath, isWhole ? recorded : emptyRecord, files);
      return new PartFile({ file, record, blobPath, of, files });
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Bytes that have arrived, including those that are not on disk yet. */
  get doneBytes(): number {
    return this.#doneBytes;
  }

  get missing(): ByteRange[] {
    return listGaps(this.#record.ranges, this.#of.sizeBytes);
  }

  /** The strong ETag of the bytes so far, if the server gave one. */
  get etag(): string | undefined {
    return this.#record.etag;
  }

  /** Records the ETag of the bytes to come; a weak one counts as none. */
  async setEtag(etag: string | null): Promise<void> {
    await this.#record.setEtag(etag);
  }

  /** Whether the file is complete and right: by its digest, or without a digest by the first bytes of a GGUF file. */
  async isIntact(): Promise<boolean> {
    if (this.missing.length > 0) return false;
    if (this.#of.digest !== undefined) return (await this.digest()) === this.#of.digest;
    const { buffer } = await this.#file.read(Buffer.alloc(ggufMagic.length), 0, ggufMagic.length, 0);
    return buffer.equals(ggufMagic);
  }

  /** The digest of the bytes so far, in hex. */
  async digest(): Promise<string> {
    return this.#digest.finish();
  }

  /** @param held A buffer that the writer fills before it writes and records it; nobody else uses it meanwhile. */
  writeFrom(offset: number, held: Buffer): PartWriter {
    return new PartWriter(offset, held, {
      count: (bytes) => void (this.#doneBytes += bytes),
      write: (bytes, start) => this.#write(bytes, start),
    });
  }

  /** Discards all bytes and starts over. No writer may be active. */
  async restart(): Promise<void> {
    await this.#digest.stop();
    // The record first: it must never name bytes that do not exist.
    await this.#record.clear();
    await this.#file.truncate(0);
    this.#doneBytes = 0;
    this.#digest = new RunningDigest(this.#file, this.#of);
  }

  /** Gives the finished file its final name. Readers see the whole file or none. */
  async publish(): Promise<void> {
    await this.#file.sync();
    await this.#files.rename(partPath(this.#blobPath), this.#blobPath);
    await this.#record.remove();
    await syncFolder(dirname(this.#blobPath), this.#files);
  }

  async discard(): Promise<void> {
    await this.#files.rm(partPath(this.#blobPath), { force: true });
    await this.#record.remove();
  }

  async close(): Promise<void> {
    await this.#digest.stop();
    await this.#record.close();
    await this.#file.close();
  }

  async #write(bytes: Uint8Array, start: number): Promise<void> {
    let written = 0;
    while (written < bytes.length) {
      const { bytesWritten } = await this.#file.write(bytes, written, bytes.length - written, start + written);
      written += bytesWritten;
    }
    await this.#record.addRange({ start, end: start + bytes.length });
    this.#advanceDigest();
  }

  #advanceDigest(): void {
    const [first] = this.#record.ranges;
    if (first?.start === 0) this.#digest.advance(first.end);
  }
}

interface OpenPart {
  readonly file: FileHandle;
  readonly record: PartRecord;
  readonly blobPath: string;
  readonly of: RemoteFile;
  readonly files: FileOperations;
}

interface WriterActions {
  readonly count: (bytes: number) => void;
  readonly write: (bytes: Uint8Array, start: number) => Promise<void>;
}

/** Writes one range of a part in order. Its bytes are on disk only after {@link flush}. */
export class PartWriter {
  readonly #actions: WriterActions;
  readonly #held: Buffer;
  #start: number;
  #heldBytes = 0;

  constructor(offset: number, held: Buffer, actions: WriterActions) {
    this.#start = offset;
    this.#held = held;
    this.#actions = actions;
  }

  /** Position of the next byte. */
  get offset(): number {
    return this.#start + this.#heldBytes;
  }

  async push(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length;) {
      const piece = chunk.subarray(at, at + this.#held.length - this.#heldBytes);
      this.#held.set(piece, this.#heldBytes);
      this.#heldBytes += piece.length;
      this.#actions.count(piece.length);
      at += piece.length;
      if (this.#heldBytes === this.#held.length) await this.flush();
    }
  }

  /** Bytes that could not be written count as missing. */
  async flush(): Promise<void> {
    const bytes = this.#held.subarray(0, this.#heldBytes);
    if (bytes.length === 0) return;
    try {
      await this.#actions.write(bytes, this.#start);
      this.#start += bytes.length;
    } catch (error) {
      this.#actions.count(-bytes.length);
      throw error;
    } finally {
      this.#heldBytes = 0;
    }
  }
}

async function openOrCreate(path: string, files: FileOperations): Promise<{ file: FileHandle; isNew: boolean }> {
  try {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
    return { file: await openCacheFile(path, flags, files), isNew: true };
  } catch (error) {
    if (systemErrorCode(error) !== "EEXIST") throw error;
    return { file: await openCacheFile(path, constants.O_RDWR, files), isNew: false };
  }
}
