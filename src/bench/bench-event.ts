/** What a bench or a tune reports while it goes on. */
export type BenchEvent =
  /** A fact that limits the result, or that a person wants to know now. */
  | { readonly kind: "note"; readonly text: string }
  /** A part of the search begins. */
  | { readonly kind: "stage"; readonly text: string }
  /** A server loads; bytes are an estimate. */
  | { readonly kind: "load"; readonly label: string; readonly doneBytes: number; readonly totalBytes: number }
  | { readonly kind: "ready"; readonly label: string; readonly loadMs: number }
  /** A server has died; the run goes on with the others, and with another server in its place. */
  | { readonly kind: "died"; readonly label: string }
  /** A round is done. Times in milliseconds. */
  | {
      readonly kind: "round";
      readonly doneMs: number;
      readonly limitMs: number;
      /** What is known so far: `1.31 × (1.20 to 1.41) after 14 rounds`. */
      readonly soFar: string;
    };

export type OnBenchEvent = (event: BenchEvent) => void;
