import { findPaths } from "../../base/files/paths.ts";
import { fetchMetrics } from "../../control/client.ts";
import { expectProfileName } from "../../base/text/profile-name.ts";
import { findAnswering } from "../../supervisor/state/find-supervisor.ts";
import { notRunning } from "../../fleet/not-running.ts";
import { print } from "../screen/print.ts";

/** Prints a running profile's numbers as Prometheus text. @returns the exit code. @throws LlmctlError `not-running`. */
export async function metrics(name: string): Promise<number> {
  expectProfileName(name);
  const running = await findAnswering(findPaths(), name);
  const text = running && (await fetchMetrics(running.socketPath));
  if (text === undefined) throw notRunning(name);
  print(text.endsWith("\n") ? text : `${text}\n`);
  return 0;
}
