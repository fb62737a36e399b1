import type { DraftingType } from "../../profiles/rules/drafting-types.ts";
import type { ProfileValues } from "../../profiles/schema/schema.ts";
import type { BenchSetting } from "../servers/plan-setting.ts";

/** A way of drafting, before its numbers are chosen. */
export interface Candidate {
  /** The drafting type; with several models or devices, also which one. */
  readonly label: string;
  readonly source: Exclude<DraftingType["source"], "none">;
  /** The profile's `draft` for it, without `n_max`, `n_min` and `p_min`. */
  readonly draft: NonNullable<ProfileValues["draft"]>;
  /** The speedup that it cannot exceed, by the sizes of the models; null where they do not tell. */
  readonly bestPossible: number | null;
  /** What a token costs the draft as a share of what it costs the target, by sizes; null where they do not tell. */
  readonly costShare: number | null;
  /** Label of the candidate that proposes the same, on another device: one trace is enough for both. */
  readonly proposesAs?: string;
}

/** A candidate that is not measured. */
export interface RejectedCandidate extends Candidate {
  /** For people. */
  readonly thrownOut: string;
  /** Nothing speaks against it: its file could not be read or fetched. */
  readonly isUnjudged?: true;
}

/** A candidate with the server that traces its drafts. */
export interface TracedCandidate {
  readonly candidate: Candidate;
  readonly setting: BenchSetting;
}
