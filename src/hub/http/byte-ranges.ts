/** The bytes from `start` to `end`; the byte at `end` is not part of it. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Adds a range. @param ranges Sorted, and apart from each other. The result is so too. */
export function addRange(ranges: readonly ByteRange[], range: ByteRange): ByteRange[] {
  const apart = ranges.filter(({ start, end }) => end < range.start || start > range.end);
  const touching = ranges.filter(({ start, end }) => end >= range.start && start <= range.end);
  const whole = {
    start: Math.min(range.start, ...touching.map(({ start }) => start)),
    end: Math.max(range.end, ...touching.map(({ end }) => end)),
  };
  return [...apart, whole].toSorted((a, b) => a.start - b.start);
}

/** Sorts ranges, and joins those that touch or overlap. */
export function joinRanges(ranges: readonly ByteRange[]): ByteRange[] {
  const joined: { start: number; end: number }[] = [];
  for (const { start, end } of ranges.toSorted((a, b) => a.start - b.start)) {
    const last = joined.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else joined.push({ start, end });
  }
  return joined;
}

/** The gaps that the ranges leave in a file of `sizeBytes`. */
export function listGaps(ranges: readonly ByteRange[], sizeBytes: number): ByteRange[] {
  const starts = [0, ...ranges.map(({ end }) => end)];
  const ends = [...ranges.map(({ start }) => start), sizeBytes];
  return starts.flatMap((start, i) => (start < (ends[i] ?? start) ? [{ start, end: ends[i] ?? start }] : []));
}

/** Cuts ranges into pieces of at most this length. */
export function cutRanges(ranges: readonly ByteRange[], lengthBytes: number): ByteRange[] {
  return ranges.flatMap(({ start, end }) =>
    Array.from({ length: Math.ceil((end - start) / lengthBytes) }, (_, i) => ({
      start: start + i * lengthBytes,
      end: Math.min(end, start + (i + 1) * lengthBytes),
    })),
  );
}

export function countBytes(ranges: readonly ByteRange[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
}
