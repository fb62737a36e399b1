import { findPaths } from "../../base/files/paths.ts";
import { printableLine } from "../../base/text/printable.ts";
import { formatDuration } from "../../base/text/units.ts";
import { eventLogPath, parseEventLine, type LoggedEvent } from "../../supervisor/log/event-log.ts";
import { closeLogEnd, followLog } from "../../supervisor/log/follow-log.ts";
import { jsonLine } from "../screen/json-text.ts";
import { interrupted } from "./logs.ts";
import { findWantedLog } from "./find-log.ts";
import { readTail } from "../../supervisor/log/last-log-lines.ts";
import { print } from "../screen/print.ts";

interface EventsOptions {
  readonly follow: boolean;
  readonly json: boolean;
  readonly lines: number;
}

/**
 * Prints the last events of a supervisor, and with `follow` the coming ones; needs no running supervisor.
 * @throws LlmctlError `no-events`.
 */
export async function events(name: string, { follow, json, lines }: EventsOptions): Promise<number> {
  const { findPlace } = await import("../../fleet/foreign-states.ts");
  const { paths } = await findPlace(findPaths(), name);
  const path = eventLogPath(paths.state, name);
  const end = await findWantedLog(paths, { name, path, kind: "events" }, follow);
  const printEvent = (line: string) => {
    const event = parseEventLine(line);
    if (event !== undefined) print(json ? jsonLine(event) : `${format(event)}\n`);
  };
  for (const line of await readTail(path, lines, end.size)) printEvent(line);
  if (!follow) await closeLogEnd(end);
  else for await (const line of followLog(path, end, interrupted())) printEvent(line);
  return 0;
}

/**
 * `2026-11-24T10:18:58.321Z       24.5 s  backoff    the server was killed (SIGKILL); next start in 1.1 s [killed]`.
 */
function format({ time, elapsedMs, state, cause, message }: LoggedEvent): string {
  const head = `${time}  ${formatDuration(elapsedMs).padStart(11)}  ${state.padEnd(9)}`;
  return printableLine(cause === null ? `${head}  ${message}` : `${head}  ${message} [${cause}]`);
}
