#!/usr/bin/env node
import { setFlagsFromString } from "node:v8";

// The bytes of a download come in pieces that die young: V8 shall look for the dead before there are 30 MB of them, and
// free them at once. To be said before anything else is loaded, since what has grown by then stays.
setFlagsFromString("--semi-space-growth-factor=1");
setFlagsFromString("--no-concurrent-array-buffer-sweeping");
// A report that Node writes of a crash (NODE_OPTIONS=--report-on-fatalerror) holds the environment. Older versions
// cannot leave it out.
if (process.env["NODE_OPTIONS"]?.includes("--report") === true && process.report !== undefined) {
  if ("excludeEnv" in process.report) process.report.excludeEnv = true;
  else
    Object.assign(process.report, {
      reportOnFatalError: false,
      reportOnSignal: false,
      reportOnUncaughtException: false,
    });
}
// A mask may keep others away from our files, and not ourselves.
process.umask(process.umask(0o077) & 0o077);
const [{ reportError }, { runProgram }, { guardOutput }] = await Promise.all([
  import("./cli/screen/report-error.ts"),
  import("./cli/program.ts"),
  import("./cli/screen/guard-output.ts"),
]);

// A closed terminal or a reader that went away (`llmctl logs | head`) must not look like a crash of ours.
for (const stream of [process.stdout, process.stderr]) {
  guardOutput(stream);
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
  });
}

// The first process of a container gets no signal that it has no handler for. What a command handles itself, it has a
// second one for.
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
