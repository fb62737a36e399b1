import type { RemoteFile } from "../http/remote-file.ts";
import type { Pool } from "./pool.ts";
import type { RateLimit } from "../http/rate-limit.ts";
import type { RetryRule } from "../http/retry.ts";

/** How much a pull does at once. */
export interface TransferLimits {
  /** Connections, of all files together. */
  readonly connections: number;
  readonly files: number;
  /** Longest range that one request asks for. */
  readonly rangeBytes: number;
  /**
   * A connection gathers as much before it is written and recorded; as much of it is lost when the process is killed.
   */
  readonly stepBytes: number;
}

/**
 * Eight connections fill the lines that one alone does not, without being taken for an attack; what they gather is less
 * than one range. Ranges are long enough to make the time between two of them not count, and short enough to keep the
 * digest near what has come.
 */
export const standardLimits: TransferLimits = { connections: 8, files: 3, rangeBytes: 2 ** 25, stepBytes: 2 ** 19 };

/** What all downloads of one pull share. */
export interface Transfer {
  readonly limits: TransferLimits;
  /** One buffer for each connection, which gathers what comes. A request waits for a free one. */
  readonly buffers: Pool<Buffer<ArrayBuffer>>;
  readonly rate: RateLimit | undefined;
  readonly retries: RetryRule;
  readonly noteBytes: (file: RemoteFile, doneBytes: number) => void;
  /** Looks again whether the disk has room for what is still to come. @throws LlmctlError `no-space`. */
  readonly checkSpace: () => Promise<void>;
}
