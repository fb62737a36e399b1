import { findPaths } from "../base/paths.ts";
import { fetchMetrics } from "../control/client.ts";
import { expectProfileName } from "../profiles/name.ts";
import { findAnswering } from "../supervisor/find-supervisor.ts";
import { notRunning } from "./down.ts";

/** Prints a running profile's numbers as Prometheus text. @returns the exit code. @throws LlmctlError `not-running`. */
export async function metrics(name: string): Promise<number> {
  expectProfileName(name);
  const running = await findAnswering(findPaths(), name);
  const text = running && (await fetchMetrics(running.socketPath));
  if (text === undefined) throw notRunning(name);
  process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
  return 0;
}
