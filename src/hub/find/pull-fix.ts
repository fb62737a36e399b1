import type { CommandFix, Fix } from "../../base/fix.ts";

interface PullWords extends Omit<CommandFix, "run"> {
  /** Fetch the version that is published now. */
  readonly update?: boolean;
}

/** The command that fetches a profile's models. There is none for a model that no profile names. */
export function pullFix(profile: string | undefined, { update = false, ...words }: PullWords = {}): Fix {
  if (profile === undefined) return "name the model in a profile, and fetch that";
  return { run: ["pull", ...(update ? ["--update"] : []), profile], ...words };
}
