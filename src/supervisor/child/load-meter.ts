import type { LoadProgress } from "../../control/messages.ts";
import type { Launch } from "../launch.ts";
import { readBytesTaken, type BytesTaken } from "../state/process-identity.ts";

/**
 * How far a load is, by what the process has taken in against the sizes of the files that it loads. An estimate: a file
 * may be read, mapped from the disk or mapped from the page cache, and libraries count, too; so it never goes back, and
 * is full only when the server says that it is ready.
 */
export class LoadMeter {
  readonly #totalBytes: number;
  readonly #read: () => BytesTaken | undefined;
  readonly #before: BytesTaken | undefined;
  #doneBytes = 0;

  constructor(files: Launch["files"], pid: number, read: () => BytesTaken | undefined = () => readBytesTaken(pid)) {
    this.#totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    this.#read = read;
    this.#before = read();
  }

  /** @returns undefined where nothing is known. */
  measure(): LoadProgress | undefined {
    const now = this.#read();
    if (now === undefined || this.#before === undefined || this.#totalBytes === 0) return undefined;
    const { read, fetched, mapped } = this.#before;
    const takenBytes = Math.max(now.read - read, now.fetched - fetched, now.mapped - mapped);
    this.#doneBytes = Math.max(this.#doneBytes, Math.min(takenBytes, Math.floor(0.99 * this.#totalBytes)));
    return { doneBytes: this.#doneBytes, totalBytes: this.#totalBytes };
  }
}
