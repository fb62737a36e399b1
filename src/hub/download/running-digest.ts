import { createHash, type Hash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import type { RemoteFile } from "../http/remote-file.ts";

/** Hashed in one step, which blocks the program for about a millisecond. */
const readBytes = 2 ** 20;

type Readable = Pick<FileHandle, "read">;

/**
 * The digest of a file that is still being written. It hashes in order, up to the first missing byte, and reads from
 * the file, whose new bytes are still in the page cache. While it hashes one piece it reads the next.
 */
export class RunningDigest {
  readonly #file: Readable;
  readonly #hash: Hash;
  readonly #buffers = [Buffer.allocUnsafeSlow(readBytes), Buffer.allocUnsafeSlow(readBytes)] as const;
  #front = 0;
  #hashedBytes = 0;
  #isRunning = false;
  #work: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;

  constructor(file: Readable, of: Pick<RemoteFile, "digest" | "sizeBytes">) {
    this.#file = file;
    this.#hash = startHash(of);
  }

  /** All bytes before this one are in the file now. */
  advance(front: number): void {
    this.#front = Math.max(this.#front, front);
    if (this.#isRunning || this.#hashedBytes === this.#front) return;
    this.#isRunning = true;
    this.#work = this.#run().catch((error: unknown) => void (this.#failure = { error }));
  }

  /** @returns the digest of all bytes so far, in hex. @throws the error of a failed read. */
  async finish(): Promise<string> {
    await this.#work;
    if (this.#failure !== undefined) throw this.#failure.error;
    return this.#hash.copy().digest("hex");
  }

  /** Returns when nothing reads the file any more. */
  async stop(): Promise<void> {
    this.#front = this.#hashedBytes;
    await this.#work;
  }

  async #run(): Promise<void> {
    let next = this.#read(this.#hashedBytes, 0);
    for (let turn = 1; this.#hashedBytes < this.#front; turn += 1) {
      const piece = await next;
      next = this.#read(this.#hashedBytes + piece.length, turn);
      this.#hash.update(piece);
      this.#hashedBytes += piece.length;
    }
    this.#isRunning = false;
    await next;
  }

  /** Reads up to the front; an empty buffer at the front. */
  async #read(offset: number, turn: number): Promise<Buffer> {
    const buffer = this.#buffers[turn % 2 === 0 ? 0 : 1];
    const length = Math.min(buffer.length, this.#front - offset);
    if (length <= 0) return buffer.subarray(0, 0);
    const { bytesRead } = await this.#file.read(buffer, 0, length, offset);
    if (bytesRead === 0) throw new Error(`the file ends at byte ${offset}, before byte ${this.#front}`);
    return buffer.subarray(0, bytesRead);
  }
}

/** Git's blob id is the sha1 of a header and the content. Files that the Hub keeps outside git have a plain sha256. */
export function startHash({ digest, sizeBytes }: Pick<RemoteFile, "digest" | "sizeBytes">): Hash {
  return digest?.length === 40 ? createHash("sha1").update(`blob ${sizeBytes}\0`) : createHash("sha256");
}
