// A log that was moved or deleted goes on in a new file (see LogMirror): the line that says so, and what a reader skips.

/** How far a reader has come in a file, or where a new one goes on. */
export interface LogPosition {
  readonly inode: number;
  readonly byte: number;
}

/** Where the line stands in a new log after which the content of others goes on, and from where. */
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

/** Leaves out of a new file what it repeats of those before. */
export class RepeatSkipper {
  /** How far files were read from which the next may go on, by their inodes. */
  #read = new Map<number, number>();
  #isAwaiting = false;
  #left = 0;

  /** The next file begins. What the one before it did not repeat any more, it may. */
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
    // Files of which nothing is known were not seen: rather twice than not at all.
    const known = goesOn.places.map(({ inode, byte }) => ({ inode, from: byte, read: this.#read.get(inode) ?? 0 }));
    this.#left = Math.max(0, ...known.map(({ from, read }) => read - from));
    this.#read = new Map(known.map(({ inode, read }) => [inode, read]));
    this.#isAwaiting = false;
    return Buffer.concat([rest.subarray(0, goesOn.end), this.pass(rest.subarray(goesOn.end))]);
  }
}
