#!/usr/bin/env node
import "./cli/process-settings.ts";
import { runProgram } from "./cli/program.ts";
import { guardOutput } from "./cli/screen/guard-output.ts";
import { reportError } from "./cli/screen/report-error.ts";

// A closed terminal, or a reader that went away (`llmctl logs | head`), must not look like a crash.
for (const stream of [process.stdout, process.stderr]) {
  guardOutput(stream);
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
  });
}

// The first process of a container receives only signals that it has a handler for. A command that handles a signal
// itself adds a second handler.
if (process.pid === 1) {
  for (const [signal, number] of [
    ["SIGHUP", 1],
    ["SIGINT", 2],
    ["SIGTERM", 15],
  ] as const) {
    process.on(signal, () => {
      if (process.listenerCount(signal) === 1) process.exit(128 + number);
    });
  }
}

try {
  process.exitCode = await runProgram(process.argv);
} catch (error) {
  process.exitCode = reportError(error);
}
