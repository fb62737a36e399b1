import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { systemErrorCode } from "../../src/base/errors.ts";
import type { Flock } from "../../src/supervisor/state/file-lock.ts";

interface Held {
  readonly fd: number;
  readonly file: string;
  readonly kind: Parameters<Flock>[2];
}

/**
 * The kernel's locks on open files, without the tool: each descriptor counts as another process, and closing it frees
 * its lock.
 */
export class FakeFlock {
  #held: readonly Held[] = [];
  /** What happens at the next calls, between the opening of a file and its lock; one step for each. */
  readonly before: ((path: string) => void)[] = [];
  /** How often a lock was asked for. */
  calls = 0;

  readonly flock: Flock = (fd, path, kind) => {
    this.calls += 1;
    this.before.shift()?.(path);
    const file = identify(fd);
    this.#held = this.#held.filter((one) => identify(one.fd) === one.file && one.fd !== fd);
    if (this.#held.some((one) => one.file === file && (kind === "exclusive" || one.kind === "exclusive"))) return false;
    this.#held = [...this.#held, { fd, file: file ?? "closed", kind }];
    return true;
  };

  /** Locks a file as another process would. @returns what ends that process. */
  hold(path: string, kind: Held["kind"] = "exclusive"): () => void {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    if (!this.flock(fd, path, kind)) throw new Error(`${path} is locked already`);
    return () => closeSync(fd);
  }
}

function identify(fd: number): string | undefined {
  try {
    const { dev, ino } = fstatSync(fd);
    return `${dev} ${ino}`;
  } catch (error) {
    if (systemErrorCode(error) !== "EBADF") throw error;
    return undefined;
  }
}
