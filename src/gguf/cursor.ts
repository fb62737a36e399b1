import { GgufError } from "./gguf-error.ts";

/** The window ends before byte `end` of the file. The caller reads more of the file and parses again. */
export class NeedMoreBytes extends Error {
  readonly end: number;
  /** A guess of where the header ends at the earliest. */
  readonly likelyEnd: number;

  constructor(end: number, likelyEnd: number) {
    super(`bytes up to ${end} are needed`);
    this.end = end;
    this.likelyEnd = likelyEnd;
  }
}

/** Input of a cursor: the first bytes of a file, and the size of the whole file. */
interface Window {
  readonly name: string;
  readonly sizeBytes: number;
  readonly bytes: Uint8Array;
  /** Passed from one window's cursor to the next, so that no string is skipped twice. */
  readonly progress?: ReadProgress;
  /** Limits for all small pieces together; unlimited by default. */
  readonly budget?: TextBudget;
}

/** Limits for the small pieces of a header. The cursor counts them; the parser sets the limits. */
export interface TextBudget {
  /** Bytes of all decoded texts. */
  readonly textBytes: number;
  /** Strings in all arrays. */
  readonly strings: number;
  /** Arrays in arrays. */
  readonly innerArrays: number;
}

const noLimit: TextBudget = { textBytes: Infinity, strings: Infinity, innerArrays: Infinity };

/** How much of each large array of strings was skipped, by the byte at which the array starts. */
export type ReadProgress = Map<number, { readonly index: number; readonly position: number }>;

/**
 * Reads numbers and strings in order from the start of a file, of which only a window is in memory. Each read is
 * checked first: past the end of the file it throws `truncated`, past the window {@link NeedMoreBytes}.
 */
export class Cursor {
  readonly name: string;
  readonly sizeBytes: number;
  readonly bytes: Uint8Array;
  position = 0;
  littleEndian = true;
  /** Width of lengths and counts: 4 in GGUF version 1, 8 since version 2. */
  lengthBytes: 4 | 8 = 8;
  readonly #view: DataView;
  readonly #buffer: Buffer;
  readonly #progress: ReadProgress;
  readonly #budget: TextBudget;
  /** The used part of the budget. */
  readonly spent: { -readonly [what in keyof TextBudget]: number } = { textBytes: 0, strings: 0, innerArrays: 0 };

  constructor(window: Window) {
    this.name = window.name;
    this.sizeBytes = window.sizeBytes;
    this.bytes = window.bytes;
    this.#view = new DataView(window.bytes.buffer, window.bytes.byteOffset, window.bytes.byteLength);
    this.#buffer = Buffer.from(window.bytes.buffer, window.bytes.byteOffset, window.bytes.byteLength);
    this.#progress = window.progress ?? new Map();
    this.#budget = window.budget ?? noLimit;
  }

  get remaining(): number {
    return this.sizeBytes - this.position;
  }

  /** Checks that the next `count` bytes are in the window. @param likelyEnd See {@link NeedMoreBytes}. */
  need(count: number, likelyEnd = 0): void {
    const end = this.position + count;
    if (end > this.sizeBytes) throw this.truncated(end);
    if (end > this.bytes.length) throw new NeedMoreBytes(end, likelyEnd);
  }

  truncated(end: number): GgufError {
    return new GgufError(
      "truncated",
      `${this.name} is truncated: the header runs to byte ${end} or further, the file has ${this.sizeBytes}`,
    );
  }

  /** Reads one number with a `DataView` method. */
  number<T>(size: number, get: (view: DataView, at: number, littleEndian: boolean) => T): T {
    this.need(size);
    const value = get(this.#view, this.position, this.littleEndian);
    this.position += size;
    return value;
  }

  u32(): number {
    this.need(4);
    this.position += 4;
    return this.#view.getUint32(this.position - 4, this.littleEndian);
  }

  /**
   * Reads a count, length, offset or dimension. Above 2^53 the number is not exact, but still larger than any file.
   */
  length(): number {
    return this.lengthBytes === 4 ? this.u32() : this.u64();
  }

  u64(): number {
    const first = this.u32();
    const second = this.u32();
    return this.littleEndian ? second * 2 ** 32 + first : first * 2 ** 32 + second;
  }

  /** The next `count` bytes, not copied. */
  take(count: number): Uint8Array {
    this.need(count);
    const bytes = this.bytes.subarray(this.position, this.position + count);
    this.position += count;
    return bytes;
  }

  /** Takes from the budget. @throws GgufError `limit-exceeded` */
  spend(what: keyof TextBudget, count: number): void {
    this.spent[what] += count;
    if (this.spent[what] <= this.#budget[what]) return;
    throw new GgufError("limit-exceeded", `${this.name} has more than ${this.#budget[what]} ${budgetNames[what]}`);
  }

  /** @param mostBytes A longer text is refused before any of it is read. */
  text(what: string, mostBytes: number): string {
    const length = this.length();
    if (length > this.remaining) throw this.truncated(this.position + length);
    if (length > mostBytes)
      throw new GgufError("limit-exceeded", `${this.name} has ${what} of ${length} bytes, more than ${mostBytes}`);
    return this.decode(length);
  }

  /** The next `length` bytes as text. */
  decode(length: number): string {
    this.need(length);
    this.spend("textBytes", length);
    this.position += length;
    return this.#buffer.toString("utf8", this.position - length, this.position);
  }

  /** Skips strings without decoding them. */
  skipTexts(count: number): void {
    this.spend("strings", count);
    const start = this.position;
    let { index, position } = this.#progress.get(start) ?? { index: 0, position: start };
    while (index < count) {
      const some = Math.min(count - index, textsAtOnce);
      const end = this.lengthBytes === 8 ? skipWindowTexts(this.#view, position, some, this.littleEndian) : undefined;
      this.position = position;
      if (end === undefined)
        this.#skipCheckedTexts(some, index === 0 ? 0 : start + Math.ceil(((position - start) / index) * count));
      else this.position = end;
      position = this.position;
      index += some;
      // Only for large arrays: a hostile file could hold millions of small ones.
      if (count > textsAtOnce) this.#progress.set(start, { index, position });
    }
    this.position = position;
  }

  #skipCheckedTexts(count: number, likelyEnd: number): void {
    for (let index = 0; index < count; index += 1) {
      this.need(this.lengthBytes, likelyEnd);
      const length = this.length();
      this.need(length, likelyEnd);
      this.position += length;
    }
  }
}

const budgetNames: Readonly<Record<keyof TextBudget, string>> = {
  textBytes: "bytes of text in its keys, values and names",
  strings: "strings in its arrays",
  innerArrays: "arrays in arrays",
};

/**
 * Strings that one call skips: enough to be worth the call, and few enough to repeat when the window ends among them.
 */
const textsAtOnce = 2048;

/**
 * Skips strings with 64-bit lengths fast. A vocabulary has hundreds of thousands of them, and a small function that is
 * called often is compiled early.
 * @returns where they end, or undefined when they run past the window or one is longer than 4 GiB.
 */
function skipWindowTexts(view: DataView, start: number, count: number, littleEndian: boolean): number | undefined {
  const [low, high] = littleEndian ? [0, 4] : [4, 0];
  const lastLength = view.byteLength - 8;
  let at = start;
  for (let index = 0; index < count; index += 1) {
    if (at > lastLength || view.getUint32(at + high, littleEndian) !== 0) return undefined;
    at += 8 + view.getUint32(at + low, littleEndian);
  }
  return at <= view.byteLength ? at : undefined;
}
