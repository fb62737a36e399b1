/**
 * The most that a server may say a file has: beyond it numbers are not exact. What no disk holds is refused by the
 * disk's free space.
 */
export const mostFileBytes = Number.MAX_SAFE_INTEGER;

/** Reads the size that a header tells. @returns undefined for what is no number of bytes that a file can have. */
export function parseByteCount(text: string | null | undefined): number | undefined {
  const size = text != null && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return size <= mostFileBytes ? size : undefined;
}

/** One file on a server, before it is fetched. */
export interface RemoteFile {
  /** Relative to its repository or folder, with `/`; never leads out of it. */
  readonly name: string;
  readonly sizeBytes: number;
  /** Hex digest that the content must have; undefined where nobody says. */
  readonly digest: string | undefined;
}
