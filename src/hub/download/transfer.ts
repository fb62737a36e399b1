import type { RemoteFile } from "../http/remote-file.ts";
import type { Pool } from "./pool.ts";
import type { RateLimit } from "../http/rate-limit.ts";
import type { RetryRule } from "../http/retry.ts";

/** Concurrency limits and sizes of a pull. */
export interface TransferLimits {
  /** Connections of all files together. */
  readonly connections: number;
  readonly files: number;
  /** Longest range that one request asks for. */
  readonly rangeBytes: number;
  /** Bytes that a connection gathers before they are written and recorded. A killed process loses these. */
  readonly stepBytes: number;
}

/**
 * Eight connections saturate lines that one cannot, and do not look like an attack; together they gather less than one
 * range. Ranges are long enough that the time between two does not matter, and short enough that the digest, which
 * works in order, stays close.
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
  /** Checks again that the disk has room for the missing bytes. @throws LlmctlError `no-space`. */
  readonly checkSpace: () => Promise<void>;
}
