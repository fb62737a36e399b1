import { LlmctlError } from "../base/errors.ts";
import type { Paths } from "../base/files/paths.ts";

/** The error of every command that acts on a running profile. */
export function notRunning(name: string): LlmctlError {
  return new LlmctlError("not-running", `"${name}" is not running`, {
    exit: "notRunning",
    fix: { before: "see", run: ["ps"], after: "for what runs" },
  });
}

/** As {@link notRunning}; where the user of the machine's services runs the profile, the error names that user. */
export async function notRunningHere(name: string, paths: Paths): Promise<LlmctlError> {
  const { explainElsewhere } = await import("./foreign-states.ts");
  return (await explainElsewhere(paths, name)) ?? notRunning(name);
}
