import { findPaths } from "../base/paths.ts";
import { fetchMetrics } from "../control/client.ts";
import { controlSocketPath } from "../control/socket-path.ts";
import { notRunning } from "./down.ts";

/** Prints a running profile's numbers as Prometheus text. @returns the exit code. @throws LlmctlError `not-running`. */
export async function metrics(name: string): Promise<number> {
  const text = await fetchMetrics(controlSocketPath(findPaths().runtime, name));
  if (text === undefined) throw notRunning(name);
  process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
  return 0;
}
