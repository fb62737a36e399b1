import type { StopEvent } from "../../fleet/stop-profiles.ts";
import { reportError } from "./report-error.ts";

/** Prints what a stop reports. */
export function showStop(event: StopEvent): void {
  switch (event.kind) {
    case "nothing-running":
      process.stdout.write("nothing is running\n");
      return;
    case "stopped":
      process.stdout.write(`stopped "${event.name}"${describe(event)}\n`);
      return;
    case "error":
      reportError(event.error);
  }
}

function describe({ found }: Extract<StopEvent, { kind: "stopped" }>): string {
  switch (found.kind) {
    case "supervisor":
      return "";
    case "server":
      return `: its supervisor was gone, the server (pid ${found.pid}) was still there`;
    case "unit": {
      const again = found.state.includes("auto-restart") ? ", and systemd would have started it again" : "";
      return `: ${found.unit} was ${found.state}${again}`;
    }
  }
}
