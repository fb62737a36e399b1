import { existsSync, readFileSync } from "node:fs";
import { eventLogPath } from "../../src/supervisor/log/event-log.ts";

/** The event log of a profile; empty where it has none. */
export function readEventLog(stateDir: string, name: string): string {
  const path = eventLogPath(stateDir, name);
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}
