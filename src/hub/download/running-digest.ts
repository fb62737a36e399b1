import { createHash, type Hash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import type { RemoteFile } from "../http/remote-file.ts";

/** As much is hashed in one go, which takes about a millisecond: nothing else of the program runs meanwhile. */
const readBytes = 2 ** 20;

/**
 * The digest of a file that is still being written: hashes in order, up to the first byte that is missing, and reads
 * what it hashes from the file, where it still is in memory. While one piece is hashed the next is read.
 */
export class RunningDigest {
  readonly #file: FileHandle;
  readonly #hash: Hash;
  readonly #buffers = [Buffer.allocUnsafeSlow(readBytes), Buffer.allocUnsafeSlow(readBytes)] as const;
  #front = 0;
  #hashedBytes = 0;
  #isRunning = false;
  #work: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;

  constructor(file: FileHandle, of: Pick<RemoteFile, "digest" | "sizeBytes">) {
    this.#file = file;
    this.#hash = startHash(of);
  }

  /** Tells that all bytes up to this one are in the file. */
  advance(front: number): void {
    this.#front = Math.max(this.#front, front);
    if (this.#isRunning || this.#hashedBytes === this.#front) return;
    this.#isRunning = true;
    this.#work = this.#run().catch((error: unknown) => void (this.#failure = { error }));
  }

  /** @returns the digest of all bytes that there were up to now, in hex. @throws what reading threw. */
  async finish(): Promise<string> {
    await this.#work;
    if (this.#failure !== undefined) throw this.#failure.error;
    return this.#hash.copy().digest("hex");
  }

  /** Returns when the file is not read any more. */
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

  /** As much as there is up to the front; nothing when that is reached. */
  async #read(offset: number, turn: number): Promise<Buffer> {
    const buffer = this.#buffers[turn % 2 === 0 ? 0 : 1];
    const length = Math.min(buffer.length, this.#front - offset);
    if (length <= 0) return buffer.subarray(0, 0);
    const { bytesRead } = await this.#file.read(buffer, 0, length, offset);
    if (bytesRead === 0) throw new Error(`the file ends at byte ${offset}, before byte ${this.#front}`);
    return buffer.subarray(0, bytesRead);
  }
}

/**
 * Git names a blob by the sha1 of a header and the content; everything that the Hub keeps outside git has its plain
 * sha256.
 */
export function startHash({ digest, sizeBytes }: Pick<RemoteFile, "digest" | "sizeBytes">): Hash {
  return digest?.length === 40 ? createHash("sha1").update(`blob ${sizeBytes}\0`) : createHash("sha256");
}
