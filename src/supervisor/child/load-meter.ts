import type { LoadProgress } from "../../control/messages.ts";
import type { Launch } from "../launch.ts";
import type { BytesTaken } from "../state/process-identity.ts";

/**
 * Estimates the progress of a load: bytes that the process has read or mapped, compared with the sizes of its files. A
 * file may be read, mapped from the disk or mapped from the page cache, and libraries count too. So the estimate never
 * goes back, and stays below 100 % until the server is ready.
 */
export class LoadMeter {
  readonly #totalBytes: number;
  readonly #read: () => BytesTaken | undefined;
  readonly #before: BytesTaken | undefined;
  #doneBytes = 0;

  /** @param read The bytes that the process has taken in; undefined when the system does not tell. */
  constructor(files: Launch["files"], read: () => BytesTaken | undefined) {
    this.#totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    this.#read = read;
    this.#before = read();
  }

  /** @returns undefined when the system does not tell or the sizes are unknown. */
  measure(): LoadProgress | undefined {
    const now = this.#read();
    if (now === undefined || this.#before === undefined || this.#totalBytes === 0) return undefined;
    const { read, fetched, mapped } = this.#before;
    const takenBytes = Math.max(now.read - read, now.fetched - fetched, now.mapped - mapped);
    this.#doneBytes = Math.max(this.#doneBytes, Math.min(takenBytes, Math.floor(0.99 * this.#totalBytes)));
    return { doneBytes: this.#doneBytes, totalBytes: this.#totalBytes };
  }
}
