import { findPaths } from "../../base/files/paths.ts";
import { stopProfiles, type StopEvent } from "../../fleet/stop-profiles.ts";
import { reportError } from "../screen/report-error.ts";

interface DownOptions {
  /** All that run, in place of names. */
  readonly all: boolean;
  /** Without waiting for running requests. */
  readonly now: boolean;
}

/** `down`: stops profiles. @returns the exit code. @throws LlmctlError as `stopProfiles`. */
export function down(names: readonly string[], options: DownOptions): Promise<number> {
  return stopProfiles(names, { ...options, paths: findPaths(), onEvent: show });
}

function show(event: StopEvent): void {
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
