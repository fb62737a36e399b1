// After a log was moved or deleted, LogMirror continues it in a new file. A line of the new file says from where.

/** A position in a file: how far a reader has read it, or from where a new file continues it. */
export interface LogPosition {
  readonly inode: number;
  readonly byte: number;
}

/** Finds the continuation line in a new log: where it ends, and which positions the content after it continues. */
export function findContinuation(
  text: string,
): { readonly end: number; readonly places: readonly LogPosition[] } | undefined {
  const match = /^--- llmctl: goes on from ((?:byte \d{1,20} of inode \d{1,20}(?: and )?){1,100}): [^\n]*\n/m.exec(
    text,
  );
  if (match === null) return undefined;
  const places = [...(match[1] ?? "").matchAll(/byte (\d+) of inode (\d+)/g)];
  return {
    end: match.index + match[0].length,
    places: places.map(([, byte, inode]) => ({ byte: Number(byte), inode: Number(inode) })),
  };
}

export function formatContinuation(places: readonly LogPosition[]): string {
  const from = places.map(({ byte, inode }) => `byte ${byte} of inode ${inode}`).join(" and ");
  return `--- llmctl: goes on from ${from}: the log that was here was moved or deleted`;
}

/** Skips the bytes of a new file that repeat already read bytes of the files before it. */
export class RepeatSkipper {
  /** By inode, how far each file was read that the next file may continue. */
  #read = new Map<number, number>();
  #isAwaiting = false;
  #left = 0;

  /** The next file begins. It may repeat bytes that the previous file was still to repeat. */
  expect({ inode, byte }: LogPosition): void {
    this.#read.set(inode, byte + this.#left);
    this.#isAwaiting = true;
    this.#left = 0;
  }

  pass(bytes: Buffer): Buffer {
    const skipped = Math.min(this.#left, bytes.length);
    this.#left -= skipped;
    const rest = bytes.subarray(skipped);
    const goesOn = this.#isAwaiting ? findContinuation(rest.toString("latin1")) : undefined;
    if (goesOn === undefined) return rest;
    // Unknown files were never read: their bytes are passed on, at worst twice.
    const known = goesOn.places.map(({ inode, byte }) => ({ inode, from: byte, read: this.#read.get(inode) ?? 0 }));
    this.#left = Math.max(0, ...known.map(({ from, read }) => read - from));
    this.#read = new Map(known.map(({ inode, read }) => [inode, read]));
    this.#isAwaiting = false;
    return Buffer.concat([rest.subarray(0, goesOn.end), this.pass(rest.subarray(goesOn.end))]);
  }
}
