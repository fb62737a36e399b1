import type { UnitScope } from "../../services/unit.ts";

/** Name of the hidden command that starts paused profiles again. */
export const resumeCommand = "__resume";

/** A profile that is stopped for a while. */
export interface PausedProfile {
  readonly name: string;
  /** Absolute path of its YAML file. */
  readonly path: string;
  /** The unit that kept it running; undefined for a supervisor without one. */
  readonly scope?: UnitScope;
}

/** A line that the resuming process writes to stdout. */
export type ResumeMessage =
  | { readonly kind: "progress"; readonly name: string; readonly message: string }
  | { readonly kind: "running"; readonly name: string }
  | { readonly kind: "failed"; readonly name: string; readonly message: string; readonly code: number };
