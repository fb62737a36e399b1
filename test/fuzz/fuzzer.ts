import type { Random } from "./random.ts";

/** A reader of foreign input, and how to make input for it. */
export interface Fuzzer {
  readonly name: string;
  /** The number of inputs in a short run and in a full one. */
  readonly counts: { readonly short: number; readonly full: number };
  /** Outcomes that must each occur: a run in which all input is refused at its first byte would show nothing. */
  readonly outcomes: readonly string[];
  /** Sets up what all inputs share. */
  readonly open: () => Promise<FuzzSession>;
}

interface FuzzSession extends AsyncDisposable {
  /**
   * Makes one input and gives it to its reader.
   * @returns the outcome in a word: `read`, or the code of a typed error.
   * @throws the error that a reader must not throw, or an Error that names what it must not do.
   */
  readonly attempt: (random: Random) => string | Promise<string>;
}
