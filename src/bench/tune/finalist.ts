import type { Candidate } from "./candidate.ts";

/** A setting that is measured against no drafting. */
export interface Finalist {
  /** Such as `draft-simple n_max 4 p_min 0.5`. */
  readonly label: string;
  readonly candidate: Candidate;
  /** The profile's `draft`. */
  readonly draft: Candidate["draft"];
  /** Predicted speed over that without drafting; null where nothing was predicted. */
  readonly predicted: number | null;
}

/** Numbers of a `draft`; those that are undefined are the build's own. */
export interface DraftNumbers {
  readonly n_max?: number | undefined;
  readonly n_min?: number | undefined;
  readonly p_min?: number | undefined;
  readonly ngram_size?: number | undefined;
}

/** A candidate with its numbers chosen. */
export function makeFinalist(candidate: Candidate, numbers: DraftNumbers, predicted: number | null): Finalist {
  const chosen = Object.entries(numbers).filter(([, value]) => value !== undefined && value !== null);
  const words = chosen.map(([key, value]) => `${key} ${value}`);
  return {
    label: [candidate.label, ...words].join(" "),
    candidate,
    draft: { ...candidate.draft, ...Object.fromEntries(chosen) },
    predicted,
  };
}
