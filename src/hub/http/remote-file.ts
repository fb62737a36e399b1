/** The largest size that a server may announce: larger numbers are not exact. The check of free space comes later. */
export const mostFileBytes = Number.MAX_SAFE_INTEGER;

/** Parses the size in a header. @returns undefined for text that is not a possible size. */
export function parseByteCount(text: string | null | undefined): number | undefined {
  const size = text != null && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return size <= mostFileBytes ? size : undefined;
}

/** One file on a server, before it is fetched. */
export interface RemoteFile {
  /** Path below its repository or folder, with `/`; it never leads out of it. */
  readonly name: string;
  readonly sizeBytes: number;
  /** Hex digest that the content must have; undefined when no digest is published. */
  readonly digest: string | undefined;
}
