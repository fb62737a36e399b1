#!/usr/bin/env node
import { reportError } from "./cli/report-error.ts";
import { runProgram } from "./cli/program.ts";

// A closed terminal or a reader that went away (`llmctl logs | head`) must not look like a crash of ours.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
  });
}

try {
  process.exitCode = await runProgram(process.argv);
} catch (error) {
  process.exitCode = reportError(error);
}
