import { findPaths } from "../../base/files/paths.ts";
import { stopProfiles } from "../../fleet/stop-profiles.ts";
import { showStop } from "../screen/show-stop.ts";

interface DownOptions {
  /** All that run, in place of names. */
  readonly all: boolean;
  /** Without waiting for running requests. */
  readonly now: boolean;
}

/** `down`: stops profiles. @returns the exit code. @throws LlmctlError as `stopProfiles`. */
export function down(names: readonly string[], options: DownOptions): Promise<number> {
  return stopProfiles(names, { ...options, paths: findPaths(), onEvent: showStop });
}
