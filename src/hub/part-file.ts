import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open, readFile, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { syncFolder } from "../base/atomic-write.ts";
import { systemErrorCode } from "../base/errors.ts";
import type { HubFile } from "./list-model.ts";

/** Parts have a name of our own: the Python client's `.incomplete` files may have holes and are left alone. */
export function partPath(blobPath: string): string {
  return `${blobPath}.llmctl.incomplete`;
}

/**
 * A download under way: the bytes so far in a file beside the blob, their running digest, and the server's ETag for them. Only one process
 * may have it open; a lock sees to that.
 */
export class PartFile {
  #length = 0;
  #etag: string | undefined;
  #hash: Hash;
  readonly #file: FileHandle;
  readonly #blobPath: string;
  readonly #of: HubFile;

  private constructor(file: FileHandle, blobPath: string, of: HubFile) {
    this.#file = file;
    this.#blobPath = blobPath;
    this.#of = of;
    this.#hash = startHash(of);
  }

  /** Opens the part of a blob, a new one or what an earlier run left, whose bytes are then read again for the digest. */
  static async open(blobPath: string, of: HubFile, signal: AbortSignal): Promise<PartFile> {
    await mkdir(dirname(blobPath), { recursive: true });
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    const part = new PartFile(await open(partPath(blobPath), flags, 0o666), blobPath, of);
    try {
      await part.#readAgain(signal);
    } catch (error) {
      await part.close();
      throw error;
    }
    return part;
  }

  /** Bytes on disk, all of them in the digest. */
  get length(): number {
    return this.#length;
  }

  /** The strong ETag under which the bytes came, if the server gave one. */
  get etag(): string | undefined {
    return this.#etag;
  }

  get isIntact(): boolean {
    return this.#length === this.#of.sizeBytes && this.#hash.copy().digest("hex") === this.#of.digest;
  }

  async append(chunk: Uint8Array): Promise<void> {
    let written = 0;
    while (written < chunk.length) {
      const { bytesWritten } = await this.#file.write(chunk, written, chunk.length - written, this.#length + written);
      written += bytesWritten;
    }
    this.#hash.update(chunk);
    this.#length += chunk.length;
  }

  /** Throws the bytes away and starts over, for content that the server names with this ETag. */
  async restart(etag?: string): Promise<void> {
    await this.#file.truncate(0);
    this.#length = 0;
    this.#hash = startHash(this.#of);
    await rm(this.#etagPath, { force: true });
    // A weak ETag must not be sent in If-Range (RFC 9110, 13.1.5).
    this.#etag = etag?.startsWith('"') ? etag : undefined;
    if (this.#etag === undefined) return;
    const file = await open(this.#etagPath, "w", 0o666);
    try {
      await file.writeFile(this.#etag);
    } finally {
      await file.close();
    }
  }

  /** Gives the finished file its name; readers see it whole or not at all. */
  async publish(): Promise<void> {
    await this.#file.sync();
    await rename(partPath(this.#blobPath), this.#blobPath);
    await rm(this.#etagPath, { force: true });
    await syncFolder(dirname(this.#blobPath));
  }

  async discard(): Promise<void> {
    await rm(partPath(this.#blobPath), { force: true });
    await rm(this.#etagPath, { force: true });
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  get #etagPath(): string {
    return `${this.#blobPath}.llmctl.etag`;
  }

  async #readAgain(signal: AbortSignal): Promise<void> {
    const { size } = await this.#file.stat();
    if (size > this.#of.sizeBytes) return this.restart();
    const buffer = Buffer.allocUnsafe(1 << 20);
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, this.#length);
      if (bytesRead === 0) break;
      this.#hash.update(buffer.subarray(0, bytesRead));
      this.#length += bytesRead;
    }
    this.#etag = await readEtag(this.#etagPath);
  }
}

/** Git names a blob by the sha1 of a header and the content; everything that the Hub keeps outside git has its plain sha256. */
function startHash({ digest, sizeBytes }: HubFile): Hash {
  return digest.length === 40 ? createHash("sha1").update(`blob ${sizeBytes}\0`) : createHash("sha256");
}

async function readEtag(path: string): Promise<string | undefined> {
  try {
    const etag = await readFile(path, "utf8");
    // A header value that fetch would refuse, from a half-written file, counts as none: the digest decides anyway.
    return /^"[\x21\x23-\x7e]*"$/.test(etag) ? etag : undefined;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
