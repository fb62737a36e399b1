import type { Random } from "./random.ts";

/** A reader of foreign input, and how to make input for it. */
export interface Fuzzer {
  readonly name: string;
  /** How many inputs a short run and a full one try. */
  readonly counts: { readonly short: number; readonly full: number };
  /** Outcomes that must have come up, each: were all input refused at its first byte, a run would show nothing. */
  readonly outcomes: readonly string[];
  /** Sets up what the inputs share. */
  readonly open: () => Promise<FuzzSession>;
}

interface FuzzSession extends AsyncDisposable {
  /**
   * Makes one input and gives it to its reader.
   * @returns what came of it in a word: `read`, or the code of a typed error.
   * @throws whatever a reader must not throw, or an Error that says what it must not have done.
   */
  readonly attempt: (random: Random) => string | Promise<string>;
}
