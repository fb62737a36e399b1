import { LlmctlError } from "../../base/errors.ts";
import type { ExitCause } from "../../supervisor/launch.ts";

/**
 * Why a server of a bench is gone.
 * @param at Its log, or its program when it has none.
 */
export function benchServerDied({ message, fix, exit }: ExitCause, at: string): LlmctlError {
  // "llmctl logs" shows the log of the profile, where this server has written nothing.
  const isAboutLogs = typeof fix === "object" && fix.run[0] === "logs";
  return new LlmctlError("bench-server-died", message, {
    exit,
    at,
    ...(fix === undefined ? {} : { fix: isAboutLogs ? "the end of its log says more" : fix }),
  });
}
